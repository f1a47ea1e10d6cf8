r"""What z does: whether the generator uses it, what it knows of y, and whether the prior draws it.

z is seen in the prior's own units, e = (z - \mu_p(x)) / \sigma_p(x), so that pairs of different x
can be pooled. Where the aggregated posterior of each x, the mean over y of q(z|x, y), is the
prior, e of the posteriors and e of prior draws have one distribution, independent of x (Hoffman &
Johnson 2016, "ELBO surgery"; Rosca, Lakshminarayanan & Mohamed 2018, "Distribution Matching in
Variational Inference"). Every function takes what `look` returns.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy import stats
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from torch import Tensor
from torch.distributions import Distribution

from cvae.data.rows import groups
from cvae.evaluation.diagnostics.calibration import Test, standardised
from cvae.evaluation.diagnostics.pairs import numbers_of_x
from cvae.evaluation.diagnostics.two_sample import told_apart
from cvae.evaluation.metrics.latent import ACTIVE
from cvae.model.cvae import CVAE
from cvae.model.distributions import moments
from cvae.random import drawing_from, seed_of

MOST = 500
"""Pairs that are looked at: each posterior is asked about the z of all."""
_DRAWS = 8
"""Draws of z behind each cost."""
_ROWS = 2**18
"""Numbers of z whose density is asked for at a time."""
_WIDEST = 32
"""Numbers of x, or of z, beyond which random projections take their place."""
UNVISITED = 0.05
"""Share of the posteriors' own z that are in no denser place than an unvisited one."""


class Look(NamedTuple):
    """The z of N pairs.

    Attributes:
        x: Conditions in numbers, (N, G).
        of_posterior: e of a draw from each posterior, (N, L).
        of_prior: e of a draw from each prior, (N, L).
        means: e of each posterior's mean, (N, L).
        kl: KL(q || p) of each pair, in nats, (N,).
        log_posteriors: Density of each posterior's draw e under the mean of all posteriors, (N,).
        log_priors: The same under the mean of all priors, (N,).
        log_others: The same under the mean of all posteriors but its own, (N,).
        log_unvisited: Density of a prior draw e under the mean of the other posteriors, (N,).
        costs: -log p(y|x, z) in nats, (N,) each, by where z is from.
    """

    x: Tensor
    of_posterior: Tensor
    of_prior: Tensor
    means: Tensor
    kl: Tensor
    log_posteriors: Tensor
    log_priors: Tensor
    log_others: Tensor
    log_unvisited: Tensor
    costs: dict[str, Tensor]


@torch.no_grad()
def look(
    model: CVAE,
    x: Tensor,
    y: Tensor,
    seed: int,
    done: Callable[[float], None] = lambda count: None,
) -> Look:
    """Return what the networks say of z for pairs x, (N, *x_shape), and y, (N, *y_shape).

    `costs` has z from `posterior` and `prior`, at the `prior_mean`, `shuffled` between all pairs in
    the prior's units, so that z keeps what it knows of x, and, where several pairs have one x,
    `shuffled_within_x` between those. `done` is told how many pairs' worth of work has been done.
    """
    rng = torch.Generator(model.device).manual_seed(seed_of(seed, 2))
    q, p = model.posterior(x, y), model.prior(x)
    with drawing_from(rng):
        z, z_prior = q.sample(torch.Size([_DRAWS])), p.sample(torch.Size([_DRAWS]))
        log_q, log_p = q.log_prob(z), p.log_prob(z)
    mean, scale = _units(p)
    e, e_prior = (z - mean) / scale, (z_prior - mean) / scale
    everyone = torch.zeros(len(x), dtype=torch.int64)
    costs = {
        "posterior": z,
        "prior": z_prior,
        "prior_mean": mean.unsqueeze(0),
        "shuffled": mean + scale * e[:, _cycled(everyone).to(e.device)],
    }
    same = groups(x.cpu()) if x.shape[1:].numel() else everyone
    inside = _cycled(same)
    if (inside != torch.arange(len(x))).float().mean() > 0.5:
        costs["shuffled_within_x"] = z[:, inside.to(z.device)]
    found = {}
    for name, some in costs.items():
        each = [model.generator(x, one.unsqueeze(0)).log_prob(y)[0] for one in some]
        found[name] = -torch.stack(each).double().mean(0).cpu()
        done(len(x) / len(costs))
    of_q = _densities(model, model.posterior, (x, y), torch.cat((e[0], e_prior[0])))
    visited, unvisited = of_q.split(len(x))
    return Look(
        x=numbers_of_x(model, x),
        of_posterior=e[0].cpu(),
        of_prior=e_prior[0].cpu(),
        means=((moments(q)[0] - mean) / scale).cpu(),
        kl=(log_q - log_p).mean(0).cpu(),
        log_posteriors=visited.logsumexp(1) - math.log(len(x)),
        log_priors=_densities(model, model.prior, (x,), e[0]).logsumexp(1) - math.log(len(x)),
        log_others=_without_own(visited),
        log_unvisited=_without_own(unvisited),
        costs=found,
    )


def _units(p: Distribution) -> tuple[Tensor, Tensor]:
    mean, scale = moments(p)
    return mean, scale.clamp(min=1e-6)


def _cycled(same: Tensor) -> Tensor:
    """Return for each pair the next one of its group, (N,), itself where it is alone."""
    order, found = same.argsort(stable=True), torch.empty_like(same)
    for part in order.split(same.bincount().tolist()):
        found[part] = part.roll(1)
    return found


def _densities(
    model: CVAE, network: Callable[..., Distribution], given: tuple[Tensor, ...], e: Tensor
) -> Tensor:
    """Return the density of e_i, (M, L), in the prior's units, given each pair j, (M, N)."""
    size = max(1, _ROWS // max(1, e.shape[1]))
    columns = []
    for some in zip(*(part.split(max(1, size // len(e))) for part in given), strict=True):
        mean, scale = _units(model.prior(some[0]))
        found = network(*some).log_prob(mean + scale * e.unsqueeze(1))
        columns.append((found + scale.log().sum(-1)).double().cpu())
    return torch.cat(columns, 1)


def _without_own(densities: Tensor) -> Tensor:
    """Return the log of the mean density under all posteriors but the own, (N,), from (N, N)."""
    others = densities.clone().fill_diagonal_(-math.inf)
    return others.logsumexp(1) - math.log(max(1, len(others) - 1))


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """Return the mean of values, (N,), and its standard error."""
    values = values.double()
    return float(values.mean()), float(values.std() / math.sqrt(len(values)))


def prior_gap(seen: Look) -> Tensor:
    r"""Return per pair, (N,), what makes up KL(\bar q(e) || \bar p(e)) in nats, pooled over x.

    The mean is what the ELBO would gain at least by a prior that is the aggregated posterior of
    each x (Hoffman & Johnson 2016). Few pairs make it look narrower than it is, so that the figure
    is too high where z carries more than log N nats.
    """
    return seen.log_posteriors - seen.log_priors


def information(seen: Look) -> tuple[Tensor, Tensor]:
    r"""Return per pair, (N,) each, nats that bound I(z; y|x) from below and from above.

    The mean of the upper one is E KL(q(z|x, y) || p(z|x)). The lower one is less by `prior_gap`:

    .. math:: \mathbb{E} \log \frac{q_i(e_i)}{\frac1N \sum_j q_j(e_i)}
        - \mathbb{E} \log \frac{p_i(e_i)}{\frac1N \sum_j p_j(e_i)}

    The first term bounds what z carries of the whole pair, log N at most (van den Oord, Li &
    Vinyals 2018, "Representation Learning with Contrastive Predictive Coding"), with the posteriors
    as the critic; the second one is what of it the prior knows by x. What z carries of x and the
    prior does not know is counted.
    """
    return seen.kl - prior_gap(seen), seen.kl


def widths(seen: Look) -> Tensor:
    """Return sqrt(E e^2) of each dimension under the posteriors, (L,): 1 where the prior fits."""
    return seen.of_posterior.double().square().mean(0).sqrt()


def active(seen: Look) -> int:
    """Return how many dimensions' posterior means move with the pair (Burda et al. 2016)."""
    return int((seen.means.double().var(0) > ACTIVE).sum())


def unvisited(seen: Look) -> Test:
    """Return the share of prior draws that are where hardly any posterior is.

    That is where the mean of the other posteriors is less dense than at `UNVISITED` of the
    posteriors' own draws, so that the share is `UNVISITED` where the prior fits. The p-value is
    binomial.
    """
    edge = seen.log_others.quantile(UNVISITED)
    count = int((seen.log_unvisited < edge).sum())
    found = stats.binomtest(count, len(seen.kl), UNVISITED, alternative="greater")
    return Test(count / len(seen.kl), float(found.pvalue))


def told_from_prior(seen: Look, rng: torch.Generator) -> Test:
    """Return how well a classifier tells the posterior's z from the prior's, for the same x."""
    x = narrowed(seen.x, rng)
    weights = _narrowing(seen.of_prior.shape[1], rng)
    rows = [
        torch.cat((x, part.float() @ weights), 1) for part in (seen.of_posterior, seen.of_prior)
    ]
    return told_apart(rows[0], rows[1], rng)


def of_x(seen: Look, rng: torch.Generator) -> float:
    """Return which share of the variance of z, in the prior's units, x predicts; 0 where none.

    By ridge regression on x and its squares, of pairs that it has not seen: the largest R^2 over
    dimensions whose means move.
    """
    moving = seen.means.double().var(0) > ACTIVE
    if not seen.x.shape[1] or not moving.any():
        return 0.0
    x = standardised(narrowed(seen.x, rng).double())
    features = standardised(torch.cat((x, x.square()), 1)).numpy()
    targets = standardised(seen.of_posterior.double()[:, moving]).numpy()
    ridge = RidgeCV(alphas=(1.0, 10.0, 100.0, 1000.0))
    found = cross_val_predict(ridge, features, targets, cv=KFold(5, shuffle=True, random_state=0))
    left = ((targets - found.reshape(targets.shape)) ** 2).mean(0)
    return max(0.0, float((1 - left).max()))


def narrowed(numbers: Tensor, rng: torch.Generator) -> Tensor:
    """Return numbers, (N, G), or random projections of them where there are more than 32."""
    return numbers.float() @ _narrowing(numbers.shape[1], rng)


def _narrowing(count: int, rng: torch.Generator) -> Tensor:
    if count <= _WIDEST:
        return torch.eye(count)
    return torch.randn(count, _WIDEST, generator=rng) / math.sqrt(count)
