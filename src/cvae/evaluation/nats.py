"""What nats are of, in words: only those of one kind may be compared."""

from collections.abc import Mapping

from cvae.evaluation.metrics.latent import KL_PER_DIMENSION

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

_OF_BINARY_PIXELS = ("test/nll", "test/effective_samples", "test/binarized_elbo")

JUDGE = "judge/checksum"
"""Name of the metric that says which judge a run's figures are of; those of two are no match."""


def tagged_by_nats(metrics: Mapping[str, float], nats_of: str) -> dict[str, float]:
    """Rename the metrics so that only comparable metrics have the same name.

    "test/elbo" becomes "test_mass/elbo" or "test_density/elbo", so that a table by names never
    ranks a density against a mass, nor distances between binary images against those between grey
    ones. A model trained by cross-entropy, measured on binarised pixels, has nats of a mass. KL per
    dimension, the judge's checksum, and settings, are left out.
    """
    named = {}
    for name, value in metrics.items():
        part, _, rest = name.partition("/")
        if name.startswith((KL_PER_DIMENSION, JUDGE)) or not rest:
            continue
        binary = part != "test" or name.startswith(_OF_BINARY_PIXELS)
        kind = "mass" if nats_of == "cross_entropy" and binary else nats_of
        named[f"{part}_{kind}/{rest}"] = value
    return named
