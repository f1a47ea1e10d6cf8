"""Densities with a location and a scale for each element: Gaussian, Laplace, Student's t."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from cvae.batch import Shape, Support
from cvae.errors import ArgumentError
from cvae.kinds import Standard
from cvae.model.distributions import InUnits, full_precision
from cvae.model.likelihoods.base import Likelihood

MIN_SCALE = 0.01
"""Floor of a scale that is learned, in deviations of y, or in pixel units (black 0, white 1).

A density on values that never change, such as the border of a scanned digit, grows without bound
as its scale goes to zero; the floor keeps the reported nats a property of the model.
"""


class LocationScale(Likelihood):
    """Each element has a density about the generator's output, independently.

    Where y is standardised, the generator's output and the scale are in deviations from the mean;
    the log-probabilities are densities of y in its own units.

    Args:
        y_shape: Shape of one target.
        scale: The scale: a positive number keeps it fixed, "learned" learns one scalar for all
            elements, and "per_element" lets the generator give one for each; None is "per_element"
            where y is standardised, and "learned" for pixels. Only a fixed scale may be below
            `MIN_SCALE`.
        standard: Mean and deviation by which y is standardised, or None.

    Raises:
        InputError: If `scale` is neither a positive number nor one of these words.
    """

    nats_of = "density"
    support = Support.REAL
    words: tuple[str, ...] = ("learned", "per_element")
    """What `scale` may say."""
    fixed_scale: Tensor
    mean: Tensor
    unit: Tensor

    def __init__(
        self,
        y_shape: Shape,
        scale: float | Literal["learned", "per_element"] | None = None,
        standard: Standard | None = None,
    ) -> None:
        super().__init__(y_shape)
        if scale is None:
            scale = "learned" if standard is None else "per_element"
        fixed = not isinstance(scale, str) and scale > 0
        if not fixed and scale not in self.words:
            words = ", ".join(f"'{word}'" for word in self.words)
            raise ArgumentError("scale", f"expected a positive number, {words}, got {scale!r}")
        self.params_per_element = 2 if scale == "per_element" else 1
        if fixed:
            self.register_buffer("fixed_scale", torch.tensor(float(scale)), persistent=False)
        elif scale == "learned":
            self.raw_scale = nn.Parameter(torch.zeros(()))
        self.standardised = standard is not None
        if standard is not None:
            mean, unit = standard.tensors()
            self.register_buffer("mean", mean, persistent=False)
            self.register_buffer("unit", unit, persistent=False)

    @abstractmethod
    def elements(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return the densities of the elements; the scale broadcasts with the location."""

    def forward(self, params: Tensor) -> Distribution:
        """Map parameters (..., P, *y_shape) to a density over y, (..., *y_shape)."""
        location, *raw = full_precision(params).unbind(-self.event_dims - 1)
        elements = self.elements(location, self.scale(raw))
        if self.standardised:
            elements = InUnits(elements, self.mean, self.unit)
        return self.of_elements(elements)

    def scale(self, raw: list[Tensor]) -> Tensor:
        """Return the scale, which broadcasts with the elements, from what the generator gives."""
        if hasattr(self, "fixed_scale"):
            return self.fixed_scale
        return MIN_SCALE + softplus(raw[0] if raw else self.raw_scale)
