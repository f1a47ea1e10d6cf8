"""A Laplace density for each element: sharper in the middle, with heavier tails than a Gaussian."""

from torch import Tensor
from torch.distributions import Distribution, Laplace

from cvae.model.likelihoods.location_scale import LocationScale


class LaplaceLikelihood(LocationScale):
    r"""Each element is Laplace-distributed about the generator's output, independently.

    .. math:: \log p(y \mid \mu, b) = -\sum_i |y_i - \mu_i| / b_i + \log 2 b_i

    Its cost is the absolute error. Arguments are those of `LocationScale`.
    """

    def elements(self, location: Tensor, scale: Tensor) -> Distribution:
        return Laplace(location, scale, validate_args=False)
