"""A Gaussian for each element: a density over real numbers."""

from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from cvae.batch import Shape
from cvae.kinds import Standard
from cvae.model.distributions import Gaussian
from cvae.model.likelihoods.location_scale import MIN_SCALE, LocationScale
from cvae.model.processes import mean_over_processes

_FOLLOWS = 0.9
"""Share of the moving average of squares that each step keeps: the error falls fast at first."""


class GaussianLikelihood(LocationScale):
    r"""Each element is Gaussian about the generator's output, independently.

    .. math:: \log p(y \mid \mu, \sigma) = \sum_i \log \mathcal{N}(y_i \mid \mu_i, \sigma_i^2)

    This is a density: its nats cannot be compared with a Bernoulli's, which is a mass.

    Args:
        y_shape: Shape of one target.
        scale: The standard deviation, as for `LocationScale`; besides, "optimal" takes the root
            mean square error of a training batch, of all processes, which is the best scalar for it
            (Rybkin, Daniilidis & Levine 2021, "Simple and Effective VAE Training with Calibrated
            Decoders", equation 6), and after training the root of their moving average, which
            starts at the first batch: the nats of training are a little high. "auto" is
            "per_element" where y is standardised, and "optimal" for pixels, where a learned scalar
            needs thousands of steps to come down to what the first epochs already allow.
        standard: Mean and deviation by which y is standardised, or None.

    Raises:
        InputError: If `scale` is neither a positive number nor one of these words.
    """

    words = ("learned", "per_element", "optimal", "auto")
    mean_square: Tensor

    def __init__(
        self,
        y_shape: Shape,
        scale: float | Literal["learned", "per_element", "optimal", "auto"] | None = None,
        standard: Standard | None = None,
    ) -> None:
        if scale == "auto":
            scale = "optimal" if standard is None else "per_element"
        super().__init__(y_shape, scale, standard)  # type: ignore[arg-type]
        self.fits_y = scale == "optimal"
        if self.fits_y:
            self.register_buffer("mean_square", torch.zeros(()))  # 0: no batch yet

    def scale(self, raw: list[Tensor]) -> Tensor:
        if not self.fits_y:
            return super().scale(raw)
        known = torch.where(self.mean_square > 0, self.mean_square, 1.0)
        return known.sqrt().clamp(min=MIN_SCALE)

    def follow(self, mean_square: Tensor) -> None:
        """Move the average towards the mean square of a batch, ()."""
        kept = torch.where(self.mean_square > 0, self.mean_square, mean_square)
        self.mean_square = torch.lerp(mean_square, kept, _FOLLOWS)

    def elements(self, location: Tensor, scale: Tensor) -> Distribution:
        if self.fits_y and self.training and torch.is_grad_enabled():
            return _Optimal(location, self)
        scale, log_scale = (part.expand(location.shape) for part in (scale, scale.log()))
        return Gaussian(location, scale, log_scale)


class _Optimal(Gaussian):
    """Elements whose scale is the best for the y whose log-probability is computed."""

    def __init__(self, loc: Tensor, likelihood: GaussianLikelihood) -> None:
        self.likelihood = likelihood
        scale = likelihood.scale([]).expand(loc.shape)
        super().__init__(loc, scale, scale.log())

    def log_prob(self, value: Tensor) -> Tensor:
        # A constant: at the best scale, the gradient with respect to it is zero.
        square = mean_over_processes((value - self.loc).square().mean())
        self.likelihood.follow(square)
        scale = square.clamp(min=MIN_SCALE**2).sqrt().expand(self.loc.shape)
        return Gaussian(self.loc, scale, scale.log()).log_prob(value)
