"""`cvae-evaluate`: how good a trained model is on its test split."""

from cvae.config.compose import Config
from cvae.evaluation.tables import show
from cvae.training.evaluate import evaluate


def task(config: Config) -> None:
    """Run `cvae-evaluate`."""
    found = evaluate(config)
    try:
        files = found.write()  # first: the reader of the output may have gone
    finally:  # what cannot be written is on the screen at least
        show(found.metrics, found.model, found.said, found.title)
    for file in files:
        print(file)
