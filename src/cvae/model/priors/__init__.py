"""Priors p(z|x), one file per family.

A prior is built as `prior(in_shapes, latent_dim)`; its `forward` maps conditions, one tensor
(..., *in_shape) per entry of `in_shapes`, to a distribution over z, (..., latent_dim). There is one
condition, x, unless z has several layers.
"""

from cvae.model.priors.flow import FlowPrior
from cvae.model.priors.gaussian import GaussianPrior
from cvae.model.priors.mixture import MixturePrior
from cvae.model.priors.standard import StandardPrior
from cvae.model.priors.vamp import VampPrior

__all__ = ["FlowPrior", "GaussianPrior", "MixturePrior", "StandardPrior", "VampPrior"]
