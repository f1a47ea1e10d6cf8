"""Numbers over a whole split; those of a test are torchmetrics metrics, synchronised between
processes.

One file for each question. Sums are kept in float64 on the device, so that no step waits for a
number.
"""

from cvae.evaluation.metrics.bounds import ImportanceSampledNLL, MeanTerms, StandardError
from cvae.evaluation.metrics.diversity import spread_distance
from cvae.evaluation.metrics.kernel import kernel_distance
from cvae.evaluation.metrics.latent import LatentUse
from cvae.evaluation.metrics.references import EnergyDistance

__all__ = [
    "EnergyDistance",
    "ImportanceSampledNLL",
    "LatentUse",
    "MeanTerms",
    "StandardError",
    "kernel_distance",
    "spread_distance",
]
