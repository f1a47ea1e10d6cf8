"""The test split under a trained model: the bound, the NLL, and the use of z."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import RichProgressBar
from torch import Tensor

from cvae.batch import Support
from cvae.data.base import PairData
from cvae.evaluation.judge import Data
from cvae.evaluation.metrics.bounds import ImportanceSampledNLL
from cvae.model.cvae import CVAE
from cvae.training.module import TrainingModule

_FEWEST_CONDITIONS = 20


def test(model: TrainingModule, data: PairData, trainer: Trainer, samples: int) -> dict[str, float]:
    """Return what the model logs of the test split, by name: the NLL too, where there are samples.

    Args:
        model: A trained model.
        data: Its data.
        trainer: A trainer of one device.
        samples: Draws of z for the NLL of each target; 0 for no NLL.
    """
    groups = _groups(data)
    model.elbo_error.groups = groups
    model.nll = ImportanceSampledNLL(samples, groups) if samples else None
    trainer.test(model, data, verbose=False)
    found = {name: value.item() for name, value in trainer.callback_metrics.items()}
    return found | _in_bits(model, found)


def bounds(
    model: TrainingModule,
    data: Data,
    trainer: Callable[..., Trainer],
    samples: int,
    show_progress: bool = True,
) -> dict[str, float]:
    """Return the ELBO with its terms, the importance-sampled NLL, and the use of the latent space.

    A cross-entropy on grey pixels belongs to no distribution; the NLL of such a model is that of
    its Bernoulli on the test images binarised once, the part of them that is x as well, and
    `test/binarized_elbo` the bound that belongs to it.

    Args:
        model: A trained model.
        data: Builder of its data.
        trainer: Builder of a trainer.
        samples: Draws of z for each target.
        show_progress: Whether to show a progress bar.
    """
    shown: dict[str, Any] = {"callbacks": [RichProgressBar(leave=False)]}
    if not show_progress:
        shown = {"enable_progress_bar": False}

    served, scored = data(), in_scored_pixels(model, data)
    if scored.support == served.support:
        return test(model, served, trainer(**shown), samples)
    metrics = test(model, served, trainer(**shown), 0)
    binary = test(model, scored, trainer(**shown), samples)
    metrics["test/binarized_elbo"] = binary["test/elbo"]
    return metrics | {key: value for key, value in binary.items() if key not in metrics}


def _groups(data: PairData) -> Tensor | None:
    """Return the number of each test target's condition, (N,), in the order of the targets.

    None where there are fewer than twenty conditions: they are the cases that there are, rather
    than drawn at random.
    """
    data.prepare_data()
    data.setup("test")
    numbers = data.test_set.groups()
    return None if len(numbers.unique()) < _FEWEST_CONDITIONS else numbers


def in_scored_pixels(model: CVAE, data: Data) -> PairData:
    """Return the data in pixels that the generator is a distribution over."""
    served = data()
    crossed = model.generator.likelihood.nats_of == "cross_entropy"
    grey = crossed and served.support != Support.BINARY
    return data(binarize="dynamic") if grey else served


def _in_bits(model: CVAE, found: Mapping[str, float]) -> dict[str, float]:
    """Return the bound and the NLL in bits per dimension, of a mass over grey levels."""
    if model.generator.likelihood.nats_of != "grey_mass":
        return {}
    bits = 1 / (math.log(2) * math.prod(model.condition.y_shape))
    costs = {"bound": -found["test/elbo"], "nll": found.get("test/nll")}
    return {
        f"test/{name}_bits_per_dim": nats * bits for name, nats in costs.items() if nats is not None
    }
