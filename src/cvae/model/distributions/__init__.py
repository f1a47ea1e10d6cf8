"""What torch.distributions lacks: distributions that depend on a condition.

The whole program relies on one rule: a conditional distribution is a module whose `forward`
maps tensors to a `torch.distributions.Distribution`, whose batch shape is the batch and whose
event shape is the whole variable (all of z, all elements of y). No other code ever sums over
elements.
"""

from cvae.model.distributions.base import (
    ConditionalDistribution,
    full_precision,
    moments,
)
from cvae.model.distributions.gaussian import (
    DiagonalGaussian,
    Gaussian,
    diagonal_gaussian,
    full_gaussian,
    full_parameters,
    independent_normal,
)
from cvae.model.distributions.mixture import Mixture
from cvae.model.distributions.units import InUnits

__all__ = [
    "ConditionalDistribution",
    "DiagonalGaussian",
    "Gaussian",
    "InUnits",
    "Mixture",
    "diagonal_gaussian",
    "full_gaussian",
    "full_parameters",
    "full_precision",
    "independent_normal",
    "moments",
]
