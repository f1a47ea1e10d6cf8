"""The abstract likelihood."""

from abc import abstractmethod
from typing import Literal, Protocol

from torch import Tensor
from torch.distributions import Distribution

from cvae.batch import Shape, Support
from cvae.errors import InputError
from cvae.model.distributions import ConditionalDistribution

NatsOf = Literal["mass", "grey_mass", "density", "cross_entropy"]


class Likelihood(ConditionalDistribution):
    """Reads parameters per pixel as a distribution over all of y.

    Args:
        y_shape: Shape of one target.

    Attributes:
        nats_of: The kind of the log-probabilities of the training pixels: of a "mass" over
            binary pixels, a "grey_mass" over grey levels, a "density", or a "cross_entropy",
            which is none of these. Nats of two kinds cannot be compared.
        log_prob_is: The name under which the mean log-probability is logged.
        support: The set of values of one pixel.
        params_per_pixel: Number P of parameters that the generator gives for each pixel.
    """

    nats_of: NatsOf
    log_prob_is: str = "log_likelihood"
    support: Support
    params_per_pixel: int = 1
    fits_y: bool = False
    """Whether, in training, it fits a parameter to the y whose log-probability is computed."""

    def __init__(self, y_shape: Shape) -> None:
        super().__init__()
        self.event_dims = len(y_shape)

    @abstractmethod
    def forward(self, params: Tensor) -> Distribution:
        """Map parameters (..., P, *y_shape) to a distribution over y, (..., *y_shape)."""

    def require(self, served: Support) -> None:
        """Check once, at set-up, that this is a distribution over the pixels served.

        Raises:
            InputError: If it is not; the message gives both ways out.
        """
        if served > self.support:
            raise InputError(
                f"likelihood: {type(self).__name__} is a distribution over "
                f"{_PIXELS[self.support]}, but the data module serves {_PIXELS[served]}; set "
                "data.binarize=dynamic or threshold, or choose likelihood=gaussian, "
                "continuous_bernoulli or discretized_logistic, or cross_entropy for the bound that "
                "it is"
            )


class LikelihoodBuilder(Protocol):
    """A builder of likelihoods: a class of this folder with its options filled in."""

    def __call__(self, y_shape: Shape) -> Likelihood:
        """Return the likelihood of targets of this shape."""


_PIXELS = {
    Support.BINARY: "binary {0, 1} pixels",
    Support.LEVELS: "evenly spaced grey levels",
    Support.UNIT_INTERVAL: "grey [0, 1] pixels",
    Support.REAL: "real-valued pixels",
}
