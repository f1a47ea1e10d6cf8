"""Likelihoods: how the generator's output is read as a distribution over y, one file per family.

A likelihood is built as `likelihood(y_shape)`.
"""
