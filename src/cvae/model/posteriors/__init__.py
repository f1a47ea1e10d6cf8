"""Approximate posteriors q(z|x, y), one file per family.

A posterior is built as `posterior(in_shapes, latent_dim)`; its `forward` maps the prior's
conditions and y, the last of `in_shapes`, to a distribution over z, (..., latent_dim), that has
`rsample`.
"""

from cvae.model.posteriors.full_gaussian import FullGaussianPosterior
from cvae.model.posteriors.gaussian import GaussianPosterior
from cvae.model.posteriors.iaf import IAFPosterior

__all__ = ["FullGaussianPosterior", "GaussianPosterior", "IAFPosterior"]
