"""The columns of a table, each by a likelihood of its kind: densities and masses at once."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from cvae.batch import Shape, Support
from cvae.errors import ArgumentError
from cvae.kinds import Standard
from cvae.kinds.table import Column
from cvae.model.likelihoods.base import Likelihood, NatsOf
from cvae.model.likelihoods.bernoulli import BernoulliLikelihood
from cvae.model.likelihoods.categorical import CategoricalLikelihood
from cvae.model.likelihoods.counts import NegativeBinomialLikelihood
from cvae.model.likelihoods.gaussian import GaussianLikelihood


class MixedLikelihood(Likelihood):
    """Real columns are Gaussian, counts negative binomial, categories categorical, and independent.

    The log-probability is that of a density over the real columns, in their own units, times a mass
    over the others. It can be compared with that of the same columns of the same table alone.

    Args:
        y_shape: Shape of one target, (F,).
        columns: The columns.
        scale: Of the real columns, as for `GaussianLikelihood`.
    """

    nats_of: NatsOf = "mixed"
    support = Support.MIXED
    order: Tensor

    def __init__(
        self, y_shape: Shape, columns: Sequence[Column], scale: float | str = "per_element"
    ) -> None:
        super().__init__(y_shape)
        if scale == "optimal":
            raise ArgumentError("scale", "expected a number, learned or per_element for a table")
        is_real = {column.kind == "real" for column in columns}
        if len(is_real) == 1:
            self.nats_of = "density" if is_real.pop() else "mass"
        groups: list[tuple[list[int], Likelihood]] = []
        of = {
            kind: [i for i, column in enumerate(columns) if column.kind == kind]
            for kind in ("real", "count", "binary", "category")
        }
        if index := of["real"]:
            standard = Standard(
                tuple(columns[i].mean for i in index), tuple(columns[i].scale for i in index)
            )
            real = GaussianLikelihood((len(index),), scale, standard)  # type: ignore[arg-type]
            groups.append((index, real))
        if index := of["count"]:
            average = tuple(columns[i].average for i in index)
            groups.append((index, NegativeBinomialLikelihood((len(index),), average)))
        if index := of["binary"]:
            groups.append((index, BernoulliLikelihood((len(index),))))
        for i in of["category"]:
            groups.append(([i], CategoricalLikelihood((1,), len(columns[i].values))))
        self.parts = nn.ModuleList(part for _, part in groups)
        for number, (index, _) in enumerate(groups):
            self.register_buffer(f"place_{number}", torch.tensor(index), persistent=False)
        flat = [place for index, _ in groups for place in index]
        order = sorted(range(len(flat)), key=flat.__getitem__)
        self.register_buffer("order", torch.tensor(order), persistent=False)
        self.shapes = [part.outputs((len(index),)) for index, part in groups]

    def require_values(self, y: Tensor) -> None:
        for part, places in zip(self.parts, self._places(), strict=True):
            part.missing = self.missing  # type: ignore[assignment]
            part.require_values(y.index_select(-1, places))  # type: ignore[operator]

    def outputs(self, shape: Shape) -> Shape:
        """Return the number of parameters of all columns, (P,)."""
        return (sum(torch.Size(shape).numel() for shape in self.shapes),)

    def forward(self, params: Tensor) -> Distribution:
        """Map parameters (..., P) to a distribution over y, (..., F)."""
        sizes = [torch.Size(shape).numel() for shape in self.shapes]
        split = zip(self.parts, params.split(sizes, -1), self.shapes, strict=True)
        found = []
        for part, numbers, shape in split:
            part.missing = self.missing  # type: ignore[assignment]
            found.append(part(numbers.unflatten(-1, shape)))
        return Columns(found, self._places(), self.order)

    def _places(self) -> list[Tensor]:
        return [self.get_buffer(f"place_{number}") for number in range(len(self.parts))]


class Columns(Distribution):
    """Independent groups of columns.

    Args:
        parts: The distribution of each group, over (..., G) columns.
        places: The indices of the columns of each group, (G,).
        order: Where each column is among those of all groups, (F,).
    """

    arg_constraints: ClassVar = {}

    def __init__(
        self, parts: Sequence[Distribution], places: Sequence[Tensor], order: Tensor
    ) -> None:
        self.parts, self.places, self.order = parts, places, order
        super().__init__(parts[0].batch_shape, order.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self._joined([part.mean for part in self.parts])

    def log_prob(self, value: Tensor) -> Tensor:
        groups = zip(self.parts, self.places, strict=True)
        terms = [part.log_prob(value.index_select(-1, places)) for part, places in groups]
        return torch.stack(terms).sum(0)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        return self._joined([part.sample(torch.Size(sample_shape)) for part in self.parts])

    def _joined(self, parts: list[Tensor]) -> Tensor:
        return torch.cat([part.double() for part in parts], -1).index_select(-1, self.order)
