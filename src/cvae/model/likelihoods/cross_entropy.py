"""Grey pixels under a Bernoulli's cross-entropy: a bound, not a likelihood of grey images."""

from cvae.batch import Support
from cvae.model.likelihoods.bernoulli import BernoulliLikelihood


class CrossEntropy(BernoulliLikelihood):
    r"""A Bernoulli over binary pixels, trained on grey ones, as many public VAE codes are.

    .. math:: -\mathrm{CE}(y, f) = \sum_i y_i \log s(f_i) + (1 - y_i) \log(1 - s(f_i))
        = \mathbb{E}_{b \sim \mathrm{Bernoulli}(y)} [\log p(b \mid f)]

    For grey y this is not the logarithm of any density of y: it does not integrate to one. It is
    linear in y, so it is the expected log-likelihood of images b binarised at random from y. Minus
    the KL term, it is a lower bound on the expectation of log p(b|x). It is logged under its own
    name, `negative_cross_entropy`. On binary pixels the distribution is the Bernoulli's, a mass.
    """

    nats_of = "cross_entropy"
    log_prob_is = "negative_cross_entropy"
    support = Support.UNIT_INTERVAL
