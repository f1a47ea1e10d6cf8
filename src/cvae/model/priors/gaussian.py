"""The learned Gaussian prior."""

from cvae.model.distributions import DiagonalGaussian


class GaussianPrior(DiagonalGaussian):
    r"""p(z|x) = N(z | k(x), diag l(x)), an axis-aligned Gaussian that depends on x.

    The conditional prior of Sohn, Lee & Yan 2015, "Learning Structured Output Representation
    using Deep Conditional Generative Models", section 4. The network gives k and the logarithm of
    l; arguments are those of `DiagonalGaussian`.
    """
