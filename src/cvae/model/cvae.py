r"""The conditional variational autoencoder: three networks, and the questions they answer.

.. math:: p(y \mid x) = \int p(y \mid x, z) \, p(z \mid x) \, dz

It is ordinary PyTorch: a notebook can build one from parts and use it without a trainer.
"""

import math
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from cvae.conditions import Condition, Wanted
from cvae.errors import InputError, require_at_least
from cvae.model.distributions import ConditionalDistribution, moments
from cvae.model.generator import Generator
from cvae.model.importance import DRAWS_PER_REFINING, Estimate, Moved, log_weights, refined, strata
from cvae.random import drawing_from

_NUMBERS = 2**21  # elements of y decoded at a time; bounds the memory
_WEIGHED_ON_CPU = 2**18  # elements decoded and weighed at a time on a CPU; they fit its caches


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

    @classmethod
    def load_from_checkpoint(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """Point to `cvae.load`, which is how a model comes out of a checkpoint.

        Lightning's way, of this name, calls `__init__` with numbers and strings from the file.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "load_from_checkpoint: a checkpoint holds the settings that its model is built from; "
            "use cvae.load(PATH), with a checkpoint or the folder of a run"
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
                list of B of these, or a value for each part of x by name; or a tensor of conditions
                (B, *x_shape), in their own units. None is every class once, or no condition.
            n: Number of draws for each condition.
            rng: Source of randomness; the same state gives the same draws.
            mean: Return the likelihood's mean given z instead of a draw of y.

        Returns:
            Draws in the units of y, (n, B, *y_shape): pixels in [0, 1], categories by number. Where
            x shows a part of an image, whole images (n, B, C, H, W).

        Raises:
            InputError: If `n` is below 1, or the model knows no such condition.
        """
        require_at_least("n", n, 1)
        x = self.encode(x)
        with drawing_from(rng):
            return self._decoded(x, self.prior(x).sample((n,)), mean)

    def encode(self, x: Wanted) -> Tensor:
        """Return x, given as for `sample`, as conditions (B, *x_shape) on the model's device.

        Raises:
            InputError: If the model knows no such condition.
        """
        encoded, weight = self.condition.encode(x), next(self.parameters(), None)
        if weight is None or self.generator.of_x is not None:
            return encoded.to(self.device)  # what is standardised keeps its precision until then
        return encoded.to(weight)

    @torch.no_grad()
    def decode(self, x: Wanted, z: Tensor) -> Tensor:
        """Return the likelihood's mean given z, (..., B, L), in the form of `sample`'s draws."""
        return self._decoded(self.encode(x), z, mean=True)

    @torch.no_grad()
    def reconstruct(self, x: Wanted, y: Tensor) -> Tensor:
        """Return the likelihood's mean, (B, *y_shape), at the posterior's mean of z.

        Args:
            x: B conditions, as for `sample`.
            y: Targets (B, *y_shape).

        Raises:
            InputError: If the model knows no such condition, or no such target.
        """
        x, y = self._pairs(x, y)
        return self._decoded(x, moments(self.posterior(x, y))[0], mean=True)

    def log_prob(self, x: Wanted, y: Tensor, samples: int = 1000) -> Tensor:
        """Return log p(y|x) in nats, (B,), as `estimate` does; y is in its own units.

        Args:
            x: B conditions, as for `sample`.
            y: Targets (B, *y_shape).
            samples: Number K of draws of z for each target.

        Raises:
            InputError: If the model knows no such condition, or the likelihood no such target.
        """
        return self.estimate(*self._pairs(x, y), samples).log_prob

    def _pairs(self, x: Wanted, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return conditions and targets on the model's device, both checked."""
        conditions, shape = self.encode(x), self.condition.y_shape
        y = y.to(self.device)
        if y.shape != (len(conditions), *shape):
            expected = ", ".join(map(str, (len(conditions), *shape)))
            raise InputError(f"y: expected a target for each x, ({expected}), got {tuple(y.shape)}")
        self.generator.likelihood.require_values(y)
        return conditions, y

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
                    parts.append(refined(q, p, partial(self.generator, x), y, draws))
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
        r, p = Moved(self.posterior(x, y), shift, scale), self.prior(x)
        return log_weights(r, p, partial(self.generator, x), y, draws, prior_share)

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
