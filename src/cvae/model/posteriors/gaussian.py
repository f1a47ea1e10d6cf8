"""The axis-aligned Gaussian posterior."""

from cvae.model.distributions import DiagonalGaussian


class GaussianPosterior(DiagonalGaussian):
    r"""q(z|x, y) = N(z | g(x, y), diag h(x, y)).

    The network gives g and the logarithm of h; arguments are those of `DiagonalGaussian`.
    """
