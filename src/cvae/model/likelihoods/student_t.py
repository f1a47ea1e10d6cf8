"""Student's t for each element: a density with tails so heavy that outliers cost little."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, StudentT
from torch.nn.functional import softplus

from cvae.batch import Shape
from cvae.kinds import Standard
from cvae.model.likelihoods.location_scale import LocationScale

_FEWEST = 2.0
"""Degrees of freedom above which the variance is finite."""


class StudentTLikelihood(LocationScale):
    r"""Each element has Student's t-density about the generator's output, independently.

    .. math:: p(y \mid \mu, s, \nu) \propto \prod_i (1 + (y_i - \mu_i)^2 / (\nu s_i^2))^{-(\nu+1)/2}

    The degrees of freedom are learned, one number above 2 for all elements (Lange, Little & Taylor
    1989, "Robust Statistical Modeling Using the t Distribution"). Other arguments are those of
    `LocationScale`.
    """

    def __init__(
        self,
        y_shape: Shape,
        scale: float | Literal["learned", "per_element"] | None = None,
        standard: Standard | None = None,
    ) -> None:
        super().__init__(y_shape, scale, standard)
        self.raw_freedom = nn.Parameter(torch.full((), 3.0))

    def elements(self, location: Tensor, scale: Tensor) -> Distribution:
        freedom = _FEWEST + softplus(self.raw_freedom)
        return StudentT(freedom, location, scale, validate_args=False)
