"""Priors p(z|x), one file per family.

A prior is built as `prior(x_shape, latent_dim)`; its `forward` maps x, (..., *x_shape), to a
distribution over z, (..., latent_dim).
"""
