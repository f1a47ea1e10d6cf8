"""What nats are of, in words: only those of one kind may be compared."""

TITLES = {
    "mass": "mass",
    "grey_mass": "mass over grey levels",
    "density": "density",
    "mixed": "density of some columns and mass of others",
    "cross_entropy": "cross-entropy",
}
"""The name of each kind, by `Likelihood.nats_of`."""

COMPARE = {
    "mass": "of a mass over separate values: compare with masses of the same targets alone",
    "grey_mass": "of a mass over grey levels: compare with such masses of the same images alone",
    "density": "of a density, in the units of y: compare with densities of the same targets alone",
    "mixed": "of densities and masses at once: compare with the same columns of one table",
    "cross_entropy": "of a cross-entropy on grey pixels, which bounds the expected log-likelihood "
    "of binarised images, and is none of grey ones; an evaluation's nll is of binarised ones",
}
"""What the nats may be compared with, by what they are of."""

JUDGE = "judge/checksum"
"""Name of the metric that says which judge a run's figures are of; those of two are no match."""
