"""The abstract likelihood."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from cvae.batch import Shape, Support
from cvae.errors import InputError
from cvae.model.distributions import ConditionalDistribution

NatsOf = Literal["mass", "grey_mass", "density", "mixed", "cross_entropy"]


class Likelihood(ConditionalDistribution):
    """Reads parameters per element as a distribution over all of y.

    Args:
        y_shape: Shape of one target.

    Attributes:
        nats_of: The kind of the log-probabilities of the training targets: of a "mass" over
            separate values, a "grey_mass" over grey levels, a "density", of both at once, "mixed",
            or a "cross_entropy", which is none of these. Nats of two kinds cannot be compared.
        log_prob_is: The name under which the mean log-probability is logged.
        support: The set of values of one element.
        params_per_element: Number P of parameters that the generator gives for each element.
        missing: Whether elements of y may be missing (NaN): they do not count.
    """

    nats_of: NatsOf
    log_prob_is: str = "log_likelihood"
    support: Support
    params_per_element: int = 1
    fits_y: bool = False
    """Whether, in training, it fits a parameter to the y whose log-probability is computed."""
    missing: bool = False

    def __init__(self, y_shape: Shape) -> None:
        super().__init__()
        self.event_dims = len(y_shape)

    @abstractmethod
    def forward(self, params: Tensor) -> Distribution:
        """Map parameters (..., *outputs(y_shape)) to a distribution over y, (..., *y_shape)."""

    @classmethod
    def require(cls, served: Support) -> None:
        """Check at set-up that this is a distribution over the values served.

        Raises:
            InputError: If it is not; the message gives the ways out.
        """
        if served not in cls.support:
            raise InputError(
                f"likelihood: {cls.__name__} is a distribution over {_VALUES[cls.support]}, but "
                f"the data module serves {_VALUES[served]}; {_WAYS_OUT[served]}"
            )

    def require_values(self, y: Tensor) -> None:
        """Check that targets, (B, *y_shape), are such as this is a distribution over.

        Raises:
            InputError: If an element is not.
        """
        seen = y[~y.isnan()] if self.missing else y
        inside = self.inside(seen)
        if not inside.all():
            raise InputError(
                f"y: {type(self).__name__} is a distribution over {_VALUES[self.support]}, got "
                f"{seen[~inside][0].item():g}"
            )

    def inside(self, values: Tensor) -> Tensor:
        """Return of each value whether it is one of an element."""
        return _INSIDE[self.support](values)

    def outputs(self, shape: Shape) -> Shape:
        """Return the shape of the parameters for y of a shape: (P, *shape)."""
        return (self.params_per_element, *shape)

    def of_elements(self, elements: Distribution) -> Distribution:
        """Return the distribution of y whose elements are independent of each other.

        Args:
            elements: A distribution of batch shape (..., *y_shape).
        """
        kind = Observed if self.missing else Independent
        return kind(elements, self.event_dims, validate_args=False)


class Observed(Independent):  # type: ignore[type-arg]
    """Independent elements, of which the missing ones, NaN, are left out of log-probabilities."""

    def log_prob(self, value: Tensor) -> Tensor:
        seen = ~value.isnan()
        terms = self.base_dist.log_prob(value.nan_to_num(0.0))
        terms = terms.where(seen, 0.0)
        return terms.flatten(terms.dim() - self.reinterpreted_batch_ndims).sum(-1)


LikelihoodBuilder = Callable[[Shape], Likelihood]
"""A builder of likelihoods, from the shape of a target: a class of this folder with its options."""
_VALUES = {
    Support.BINARY: "binary {0, 1} values",
    Support.LEVELS: "evenly spaced grey levels",
    Support.UNIT_INTERVAL: "grey [0, 1] pixels",
    Support.REAL: "real numbers",
    Support.CATEGORIES: "categories",
    Support.COUNTS: "counts",
    Support.MIXED: "the columns of a table, each of its kind",
}


def _in_unit(y: Tensor) -> Tensor:
    return (y >= 0) & (y <= 1)


_INSIDE: dict[Support, Callable[[Tensor], Tensor]] = {
    Support.BINARY: lambda y: (y == 0) | (y == 1),
    Support.LEVELS: _in_unit,
    Support.UNIT_INTERVAL: _in_unit,
    Support.REAL: torch.isfinite,
    Support.COUNTS: lambda y: (y >= 0) & (y == y.round()),
}
"""Whether each value is of a set."""
_OF_GREY = (
    "set data.binarize=dynamic or threshold, or choose likelihood=gaussian, continuous_bernoulli "
    "or discretized_logistic, or cross_entropy for the bound that it is"
)
_OF_REALS = "choose likelihood=gaussian, laplace or student_t"
_WAYS_OUT = {
    Support.BINARY: "choose likelihood=bernoulli",
    Support.LEVELS: _OF_GREY,
    Support.UNIT_INTERVAL: _OF_GREY.replace("discretized_logistic", "laplace"),
    Support.REAL: _OF_REALS,
    Support.CATEGORIES: "choose likelihood=categorical",
    Support.COUNTS: "choose likelihood=negative_binomial or poisson",
    Support.MIXED: "choose likelihood=mixed",
}
