"""Approximate posteriors q(z|x, y), one file per family.

A posterior is built as `posterior(in_shapes, latent_dim)`; its `forward` maps the prior's
conditions and y, the last of `in_shapes`, to a distribution over z, (..., latent_dim), that has
`rsample`.
"""
