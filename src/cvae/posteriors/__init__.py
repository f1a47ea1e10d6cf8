"""Approximate posteriors q(z|x, y), one file per family.

A posterior is built as `posterior(x_shape, y_shape, latent_dim)`; its `forward` maps x and y to a
distribution over z, (..., latent_dim), that has `rsample`.
"""
