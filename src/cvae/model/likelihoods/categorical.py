"""One of several categories for each element: a mass over label maps and tokens."""

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution

from cvae.batch import Shape, Support
from cvae.errors import require_at_least
from cvae.model.distributions import full_precision
from cvae.model.likelihoods.base import Likelihood, NatsOf


class CategoricalLikelihood(Likelihood):
    r"""Each element is of category c with probability softmax(f)_c, independently.

    .. math:: \log p(y \mid f) = \sum_i f_{i, y_i} - \log \sum_c e^{f_{i, c}}

    f is the generator's output. Where a mean is asked for, it is the most probable category.

    Args:
        y_shape: Shape of one target.
        categories: Number of categories C; y holds their numbers, from 0.

    Raises:
        InputError: If there is no category.
    """

    nats_of: NatsOf = "mass"
    support = Support.CATEGORIES

    def __init__(self, y_shape: Shape, categories: int) -> None:
        super().__init__(y_shape)
        require_at_least("categories", categories, 1)
        self.params_per_element = categories

    def inside(self, values: Tensor) -> Tensor:
        known = (values >= 0) & (values < self.params_per_element)
        return known & (values == values.round())

    def forward(self, params: Tensor) -> Distribution:
        """Map logits (..., C, *y_shape) to a mass over y, (..., *y_shape)."""
        logits = full_precision(params).movedim(-self.event_dims - 1, -1)
        return self.of_elements(_Elements(logits=logits, validate_args=False))


class _Elements(Categorical):
    """torch's Categorical over numbers that are stored as real ones."""

    @property
    def mean(self) -> Tensor:
        return self.mode.to(self.logits.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.long())

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        return super().sample(torch.Size(sample_shape)).to(self.logits.dtype)
