r"""The conditional variational autoencoder: three networks, and the questions they answer.

.. math:: p(y \mid x) = \int p(y \mid x, z) \, p(z \mid x) \, dz

It is ordinary PyTorch: a notebook can build one from parts and use it without a trainer.
"""

import math
import warnings
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from cvae.conditions import Condition, Wanted
from cvae.errors import InputError, require_at_least
from cvae.kinds import Targets, plain
from cvae.model.distributions import ConditionalDistribution, moments
from cvae.model.generator import Generator
from cvae.model.importance import (
    DRAWS_PER_REFINING,
    Estimate,
    log_weights,
    refined,
    shifted,
    strata,
)
from cvae.random import drawing_from

_NUMBERS = 2**21  # elements of y decoded at a time; bounds the memory
_WEIGHED_ON_CPU = 2**18  # elements decoded and weighed at a time on a CPU; they fit its caches
_HELD_ON_CPU = 2**21  # elements between two layers of the generator at a time on a CPU, likewise

_CALLER = 3
"""Frames from a warning to whoever called: one is torch's, around functions without gradients."""
_ROWS = 1000  # targets encoded at a time; bounds the memory


class Latent(NamedTuple):
    """The posterior q(z|x, y) of B targets: mean and deviation, (B, L), and n draws, (n, B, L)."""

    mean: Tensor
    deviation: Tensor
    draws: Tensor


class CVAE(nn.Module):
    """Models p(y|x) with a latent variable z.

    Args:
        condition: Turns what a user asks for into x.
        prior: p(z|x).
        posterior: q(z|x, y).
        generator: p(y|x, z).
    """

    def __init__(
        self,
        condition: Condition,
        prior: ConditionalDistribution,
        posterior: ConditionalDistribution,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.condition = condition
        self.prior = prior
        self.posterior = posterior
        self.generator = generator
        self._held: int | None = None

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path, *how: Any, **options: Any) -> "CVAE":
        """Return the model of a checkpoint, or of a run's folder, as a `LightningModule`.

        It is for `Trainer.validate`, `test` and `predict`, in evaluation mode; `cvae.load` returns
        the model alone. Arguments are those of `TrainingModule.load_from_checkpoint`, which is
        looked up by its name, as the model knows nothing of Lightning.
        """
        module: type[CVAE] = resolve_name("cvae.training.module:TrainingModule")
        return module.load_from_checkpoint(checkpoint_path, *how, **options)

    @property
    def classes(self) -> list[str]:
        """The names of the classes of the data, in their order; none if there are none."""
        sizes = self.condition.sizes
        return [sizes.name(k) for k in range(sizes.num_classes)] if sizes.num_classes > 1 else []

    @property
    def x_names(self) -> list[str]:
        """The name of each part of x, in their order; none where there is no x."""
        return self.condition.part_names

    @property
    def y_names(self) -> list[str]:
        """The name of each number of y, in their order; `y_0`, ... where the data give none."""
        return self.condition.sizes.y.columns()

    def __repr__(self) -> str:
        def name(part: nn.Module) -> str:
            return type(getattr(part, "distribution", part)).__name__

        size = sum(weight.numel() for weight in self.parameters())
        kind, x = type(self.condition.target).__name__, ", ".join(self.x_names) or "nothing"
        return (
            f"{type(self).__name__}: y, {kind} {self.condition.y_shape}, given x, {x}\n"
            f"  z of {self.generator.latent_dim} dimensions; {name(self.prior)}, "
            f"{name(self.posterior)}, {name(self.generator.likelihood)}\n"
            f"  {size:,} weights on {self.device}"
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        weight = next(self.parameters(), None)
        return torch.device("cpu") if weight is None else weight.device

    @torch.no_grad()
    def sample(
        self,
        x: Wanted = None,
        n: int = 1,
        rng: torch.Generator | None = None,
        mean: bool = False,
    ) -> Tensor:
        """Draw n plausible targets for each condition: z from the prior, then y given z.

        Args:
            x: What `cvae-sample x=` takes, in words or as such: a class or its name, numbers, a
                list of B of these, or a value for each part of x by name, with lists for several
                conditions: `{"age": [50, 60], "sex": ["f", "m"]}`; or a tensor of conditions
                (B, *x_shape), in their own units. None is every class once, or no condition.
            n: Number of draws for each condition.
            rng: Source of randomness; the same state gives the same draws.
            mean: Return the likelihood's mean given z instead of a draw of y.

        Returns:
            Draws in the units of y, (n, B, *y_shape): pixels in [0, 1], categories by number. Where
            x shows a part of an image, whole images (n, B, C, H, W).

        Raises:
            InputError: If `n` is below 1, or the model knows no such condition.

        Warns:
            UserWarning: If a number that is asked for, not by a tensor, is five deviations or more
                from the mean of the training data.
        """
        require_at_least("n", n, 1)
        is_data = isinstance(x, Tensor)
        x = self.conditions_of(x)
        if not is_data and (far := self.condition.far(x)):
            warnings.warn(far, stacklevel=_CALLER)
        with drawing_from(rng):
            return self._decoded(x, self.prior(x).sample((n,)), mean)

    def conditions_of(self, x: Wanted) -> Tensor:
        """Return x, given as for `sample`, as conditions (B, *x_shape) on the model's device.

        Raises:
            InputError: If the model knows no such condition.
        """
        return self._moved(self.condition.encode(plain(x)), self.generator.of_x is not None)

    def _moved(self, values: Tensor, standardised: bool) -> Tensor:
        """Return values on the model's device; what is standardised keeps its precision."""
        weight = next(self.parameters(), None)
        if standardised or weight is None:
            return values.to(self.device)
        return values.to(weight)

    @torch.no_grad()
    def encode(
        self, x: Wanted, y: Targets, n: int = 1, rng: torch.Generator | None = None
    ) -> Latent:
        """Return what the posterior q(z|x, y) says of each target.

        Args:
            x: B conditions, as for `sample`, or one for all targets.
            y: Targets (B, *y_shape) in their own units: a tensor, an array, or of a table its
                columns by name, such as a data frame.
            n: Number of draws of z for each target.
            rng: Source of randomness; the same state gives the same draws.

        Raises:
            InputError: If `n` is below 1, or the model knows no such condition or target.
        """
        require_at_least("n", n, 1)
        x, y = self._pairs(x, y)
        with drawing_from(rng):
            parts = [
                self.posterior(*part) for part in zip(x.split(_ROWS), y.split(_ROWS), strict=True)
            ]
            draws = [q.sample(torch.Size([n])) for q in parts]
        means, deviations = zip(*map(moments, parts), strict=True)
        return Latent(torch.cat(means), torch.cat(deviations), torch.cat(draws, 1))

    @torch.no_grad()
    def decode(self, x: Wanted, z: Tensor) -> Tensor:
        """Return the likelihood's mean given z, (..., B, L), in the form of `sample`'s draws."""
        return self._decoded(self.conditions_of(x), z, mean=True)

    @torch.no_grad()
    def reconstruct(self, x: Wanted, y: Targets) -> Tensor:
        """Return the likelihood's mean, (B, *y_shape), at the posterior's mean of z.

        Args:
            x: B conditions, as for `sample`, or one for all targets.
            y: Targets, as for `encode`.

        Raises:
            InputError: If the model knows no such condition, or no such target.
        """
        x, y = self._pairs(x, y)
        return self._decoded(x, moments(self.posterior(x, y))[0], mean=True)

    def log_prob(self, x: Wanted, y: Targets, samples: int = 1000) -> Tensor:
        """Return log p(y|x) in nats, (B,), as `estimate` does; y is in its own units.

        Args:
            x: B conditions, as for `sample`, or one for all targets.
            y: Targets, as for `encode`.
            samples: Number K of draws of z for each target.

        Raises:
            InputError: If the model knows no such condition, or the likelihood no such target.
        """
        return self.estimate(*self._pairs(x, y), samples).log_prob

    @torch.no_grad()
    def impute(
        self,
        x: Wanted,
        y: Targets,
        n: int = 1,
        rng: torch.Generator | None = None,
        steps: int = 200,
    ) -> Tensor:
        """Draw what is missing of targets, given the rest of them and x.

        Each draw is the end of a Markov chain on z and what is missing: Metropolis within Gibbs
        with the posterior as the proposal (Mattei & Frellsen 2018, "Leveraging the Exact Likelihood
        of Deep Latent Variable Models", algorithm 2), whose limit is p(missing | rest, x). In the
        first half of the steps every proposal is accepted, which brings a chain to where z is
        likely.

        Args:
            x: B conditions, as for `sample`, or one for all targets.
            y: Targets, as for `encode`, NaN where they are missing.
            n: Number of draws for each target.
            rng: Source of randomness; the same state gives the same draws.
            steps: Length of each chain.

        Returns:
            Whole targets, (n, B, *y_shape), in the form of `sample`'s draws.

        Raises:
            InputError: If `n` or `steps` is below 1, or the model knows no such condition or
                target.
        """
        require_at_least("n", n, 1)
        require_at_least("steps", steps, 1)
        x, y = self._shaped(x, y)
        missing = y.isnan()
        with drawing_from(rng):
            z = self.prior(x).sample((n,))
            whole = torch.where(missing, self.generator(x, z).sample(), y)
            self.generator.likelihood.require_values(whole.flatten(0, 1))
            for step in range(steps):
                q = self.posterior(x.expand(n, *x.shape), whole)
                weigh = partial(self._log_weight, x, whole, q)
                proposed = q.sample()
                better = weigh(proposed) - weigh(z)
                accepted = better > torch.empty_like(better).exponential_().neg()
                if step < steps // 2:
                    accepted = torch.ones_like(accepted)
                z = torch.where(accepted.unsqueeze(-1), proposed, z)
                whole = torch.where(missing, self.generator(x, z).sample(), y)
        whole = torch.where(missing, self.condition.target.within(whole), y)
        return self.condition.whole(x, whole)

    def _log_weight(self, x: Tensor, y: Tensor, q: Distribution, z: Tensor) -> Tensor:
        """Return log p(y, z|x) - log q(z|x, y)."""
        return self.generator(x, z).log_prob(y) + self.prior(x).log_prob(z) - q.log_prob(z)

    def _pairs(self, x: Wanted, y: Targets) -> tuple[Tensor, Tensor]:
        """Return conditions and targets on the model's device, both checked."""
        conditions, targets = self._shaped(x, y)
        self.generator.likelihood.require_values(targets)
        return conditions, targets

    def _shaped(self, x: Wanted, y: Targets) -> tuple[Tensor, Tensor]:
        """Return conditions and as many targets on the model's device."""
        conditions, shape = self.conditions_of(x), self.condition.y_shape
        target = self.condition.target
        targets = self._moved(target.asked(plain(y)), target.encoder() is not None)
        if len(conditions) == 1:
            conditions = conditions.expand(len(targets), *conditions.shape[1:])
        if targets.shape != (len(conditions), *shape):
            expected = ", ".join(map(str, (len(conditions), *shape)))
            came = tuple(targets.shape)
            raise InputError(f"y: expected a target for each x, ({expected}), got {came}")
        return conditions, targets

    @torch.no_grad()
    def estimate(self, x: Tensor, y: Tensor, samples: int = 1000) -> Estimate:
        """Estimate log p(y|x) by importance sampling, as `cvae.model.importance` describes.

        exp of the estimate is unbiased for p(y|x). The estimate itself is low on average, and rises
        to log p(y|x) with the number of samples (Burda, Grosse & Salakhutdinov 2016, theorem 1).
        From 200 samples on, the posterior of each target is refined before the draws, which costs
        one to three times as much as they do. Targets and samples are processed in chunks, so that
        memory is bounded.

        Args:
            x: Conditions (B, *x_shape).
            y: Targets (B, *y_shape).
            samples: Number K of draws of z for each target.

        Raises:
            InputError: If `samples` is below 1.
        """
        require_at_least("samples", samples, 1)
        numbers = _WEIGHED_ON_CPU if y.device.type == "cpu" else _NUMBERS
        rows = max(1, numbers // max(x[0].numel(), y[0].numel(), self._params))
        # Few enough targets at a time to decode all their draws together, so that the posterior and
        # the prior of a target are computed once.
        targets = max(1, rows // samples)
        shift, scale = self._refined(x, y, min(samples // DRAWS_PER_REFINING, rows), rows)
        parts = [
            self._estimate(*part, samples, max(1, rows // targets))
            for part in zip(
                *(x.split(targets), y.split(targets), shift.split(targets), scale.split(targets)),
                strict=True,
            )
        ]
        return Estimate(*(torch.cat(part).to(y.dtype) for part in zip(*parts, strict=True)))

    def over_classes(self, x: Tensor, y: Tensor, found: Estimate, samples: int) -> Tensor:
        r"""Return log (1/C) sum_c p(y|c) in nats, (B,), of a model whose x is one of C classes.

        All classes count the same. The other classes share K draws among them, K / C of each, so
        that they cost about as much as y's own.

        Args:
            x: The class of each y, one-hot, (B, C).
            y: Targets (B, *y_shape).
            found: What `estimate` returned for them.
            samples: Its number K of draws.
        """
        classes = x.shape[-1]
        each = max(1, samples // classes)
        # Rolled by one place, a one-hot row becomes that of the next class.
        others = [self.estimate(x.roll(k, -1), y, each).log_prob for k in range(1, classes)]
        return torch.stack([found.log_prob, *others]).logsumexp(0) - math.log(classes)

    def _refined(self, x: Tensor, y: Tensor, draws: int, rows: int) -> tuple[Tensor, Tensor]:
        """Return the shift and the scale of each target's posterior, (B, L) each."""
        if draws == 0 or self.generator.latent_dim == 0:
            zero = torch.zeros(len(y), self.generator.latent_dim, device=y.device)
            return zero, torch.ones_like(zero)
        parts = []
        with torch.inference_mode(False):  # a trainer's test knows no gradients
            targets = max(1, rows // draws)
            for some_x, some_y in zip(x.split(targets), y.split(targets), strict=True):
                x, y = some_x.clone(), some_y.clone()
                q, p = self.posterior(x, y), self.prior(x)
                with torch.enable_grad():
                    parts.append(refined(q, p, partial(self._log_likelihood, x, y), draws))
        shifts, scales = zip(*parts, strict=True)
        return torch.cat(shifts), torch.cat(scales)

    def _estimate(
        self, x: Tensor, y: Tensor, shift: Tensor, scale: Tensor, samples: int, chunk: int
    ) -> Estimate:
        of_r, of_p = strata(samples)
        parts = []
        for done in range(0, samples, chunk):
            until = min(done + chunk, samples)
            draws = (
                of_r * until // samples - of_r * done // samples,
                of_p * until // samples - of_p * done // samples,
            )
            parts.append(self._log_weights(x, y, shift, scale, draws, of_p / samples))
        return Estimate.of([torch.cat(stratum) for stratum in zip(*parts, strict=True)])

    def _log_weights(
        self,
        x: Tensor,
        y: Tensor,
        shift: Tensor,
        scale: Tensor,
        draws: tuple[int, int],
        prior_share: float,
    ) -> tuple[Tensor, Tensor]:
        r, p = shifted(self.posterior(x, y), shift, scale), self.prior(x)
        return log_weights(r, p, partial(self._log_likelihood, x, y), draws, prior_share)

    def _log_likelihood(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return log p(y|x, z), (K, B), of K draws of z for each target, (K, B, L).

        On a CPU few are decoded at a time where the network holds more between two layers than y
        has elements; a compiled network holds less.
        """
        if not y.is_cpu or torch.compiler.is_compiling():
            return self.generator(x, z).log_prob(y)
        rows = max(1, _HELD_ON_CPU // self._most_held(x, z))
        draws, targets = min(len(z), rows), max(1, rows // len(z))
        parts = [
            torch.cat([self.generator(x, some).log_prob(y) for some in z.split(draws)])
            for x, y, z in zip(x.split(targets), y.split(targets), z.split(targets, 1), strict=True)
        ]
        return torch.cat(parts, 1)

    @torch.no_grad()
    def _most_held(self, x: Tensor, z: Tensor) -> int:
        """Return the most elements of a target that go into or come out of a generator's layer."""
        if self._held is None:
            sizes = [1]

            def note(layer: nn.Module, given: tuple[Any, ...], out: Any) -> None:
                sizes.extend(part.numel() for part in (*given, out) if isinstance(part, Tensor))

            layers = [m for m in self.generator.network.modules() if not any(m.children())]
            hooks = [layer.register_forward_hook(note) for layer in layers]
            self.generator(x[:1], z[0, :1])
            for hook in hooks:
                hook.remove()
            self._held = max(sizes)
        return self._held

    def _decoded(self, x: Tensor, z: Tensor, mean: bool) -> Tensor:
        # Few enough conditions at a time for the caches to hold the activations.
        conditions = max(1, _NUMBERS // (self._params * math.prod(z.shape[:-2])))
        parts = []
        for some_x, some_z in zip(x.split(conditions), z.split(conditions, -2), strict=True):
            p = self.generator(some_x, some_z)
            y = p.mean if mean else p.sample()
            y = self.condition.target.within(y)
            parts.append(self.condition.whole(some_x, y))
        return torch.cat(parts, z.dim() - 2)

    @property
    def _params(self) -> int:
        """How many parameters the generator gives for a target; one at least."""
        return max(1, math.prod(self.generator.params_shape))

    def compile_parts(self) -> None:
        """Compile the importance weights with torch, at their first use.

        This needs a C++ compiler, and takes seconds to minutes.
        """
        self._compile("_log_weights")

    def _compile(self, name: str) -> None:
        method = getattr(type(self), name).__get__(self)
        # The draws still come from torch's own generator, which is also faster.
        setattr(self, name, torch.compile(method, options={"fallback_random": True}))
