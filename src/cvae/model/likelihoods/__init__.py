"""Likelihoods: how the generator's output is read as a distribution over y, one file per family.

A likelihood is built as `likelihood(y_shape)`.
"""

from cvae.model.likelihoods.base import Likelihood, LikelihoodBuilder
from cvae.model.likelihoods.bernoulli import BernoulliLikelihood
from cvae.model.likelihoods.categorical import CategoricalLikelihood
from cvae.model.likelihoods.continuous_bernoulli import ContinuousBernoulliLikelihood
from cvae.model.likelihoods.counts import NegativeBinomialLikelihood, PoissonLikelihood
from cvae.model.likelihoods.cross_entropy import CrossEntropy
from cvae.model.likelihoods.discretized_logistic import DiscretizedLogisticLikelihood
from cvae.model.likelihoods.gaussian import GaussianLikelihood
from cvae.model.likelihoods.laplace import LaplaceLikelihood
from cvae.model.likelihoods.mixed import MixedLikelihood
from cvae.model.likelihoods.pixels import PixelLikelihood
from cvae.model.likelihoods.student_t import StudentTLikelihood

__all__ = [
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "ContinuousBernoulliLikelihood",
    "CrossEntropy",
    "DiscretizedLogisticLikelihood",
    "GaussianLikelihood",
    "LaplaceLikelihood",
    "Likelihood",
    "LikelihoodBuilder",
    "MixedLikelihood",
    "NegativeBinomialLikelihood",
    "PixelLikelihood",
    "PoissonLikelihood",
    "StudentTLikelihood",
]
