"""The likelihood that images of a user's own are read by, unless another is chosen."""

from typing import Any

from cvae.batch import Shape, Support
from cvae.model.likelihoods.base import Likelihood
from cvae.model.likelihoods.bernoulli import BernoulliLikelihood
from cvae.model.likelihoods.gaussian import GaussianLikelihood


class PixelLikelihood(Likelihood):
    """A Bernoulli where pixels have two levels, else a Gaussian, so that grey and colours are kept.

    Building one gives one of these two.

    Args:
        y_shape: Shape of one image.
        levels: Number of grey levels; None where pixels are real numbers.
    """

    support = Support.REAL

    def __new__(cls, y_shape: Shape, levels: int | None = None) -> Any:
        if levels == 2:
            return BernoulliLikelihood(y_shape)
        return GaussianLikelihood(y_shape, "auto")
