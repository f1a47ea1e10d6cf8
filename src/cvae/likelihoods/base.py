"""The abstract likelihood."""

from abc import abstractmethod
from typing import Literal, Protocol

from torch import Tensor
from torch.distributions import Distribution

from cvae.batch import Shape, Support
from cvae.distributions import ConditionalDistribution
from cvae.errors import InputError


class Likelihood(ConditionalDistribution):
    """Reads parameters per pixel as a distribution over all of y.

    Args:
        y_shape: Shape of one target.

    Attributes:
        nats_of: Whether log-probabilities are those of a "mass" or of a "density"; the two can
            not be compared.
        support: The set that one pixel's values lie in.
        params_per_pixel: How many numbers P the generator has to give for each pixel.
    """

    nats_of: Literal["mass", "density"]
    support: Support
    params_per_pixel: int = 1

    def __init__(self, y_shape: Shape) -> None:
        super().__init__()
        self.event_dims = len(y_shape)

    @abstractmethod
    def forward(self, params: Tensor) -> Distribution:
        """Map parameters (..., P, *y_shape) to a distribution over y, (..., *y_shape)."""

    def require(self, served: Support) -> None:
        """Check once, at set-up, that the pixels served are those this is a distribution over.

        Raises:
            InputError: If they are not; its text says both ways out.
        """
        if served > self.support:
            raise InputError(
                f"likelihood: {type(self).__name__} is a distribution over {_PIXELS[self.support]} "
                f"pixels, but the data module serves {_PIXELS[served]} pixels; set "
                "data.binarize=dynamic or threshold, or choose likelihood=gaussian"
            )


class LikelihoodBuilder(Protocol):
    """What builds a likelihood: a class of this folder with its options filled in."""

    def __call__(self, y_shape: Shape) -> Likelihood:
        """Return the likelihood of targets of this shape."""


_PIXELS = {
    Support.BINARY: "binary {0, 1}",
    Support.UNIT_INTERVAL: "grey [0, 1]",
    Support.REAL: "real-valued",
}
