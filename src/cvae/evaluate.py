"""`cvae-evaluate`: how good a trained model is on its test split, in nats per image."""

import json
from functools import partial

import torch
from lightning import seed_everything
from rich.progress import track

from cvae.checkpoint import datamodule, load
from cvae.cli import command, output_file, show
from cvae.config import Config
from cvae.data.base import LabelledImages
from cvae.errors import InputError, require_at_least, require_seed
from cvae.metrics import MeanTerms
from cvae.module import CVAE


@torch.no_grad()
def evaluate(model: CVAE, data: LabelledImages, samples: int) -> dict[str, float]:
    """Return the bound, its terms and the importance-sampled NLL of the test split.

    Args:
        model: A trained model, on the device to compute on.
        data: The data; its test split is read.
        samples: Draws of z for each image's NLL.
    """
    data.prepare_data()
    data.setup("test")
    means, nll = MeanTerms().to(model.device), []
    for images, labels in track(data.test_dataloader(), "test split", transient=True):
        moved = images.to(model.device), labels.to(model.device)
        x, y = data.on_after_batch_transfer(moved)
        terms = model.objective(
            model.posterior(x, y), model.prior(x), partial(model.generator, x), y
        )
        means.update(terms.loss, terms.log_likelihood, terms.kl)
        nll.append(-model.log_prob(x, y, samples))
    metrics = {f"test/{name}": value.item() for name, value in means.compute().items()}
    return metrics | {"test/nll": torch.cat(nll).mean().item(), "samples": samples}


@command("evaluate")
def main(config: Config) -> None:
    """Run `cvae-evaluate`."""
    require_at_least("samples", config["samples"], 1)
    require_seed("seed", config["seed"])
    changes = {key: value for key, value in config["data"].items() if value is not None}
    model, data = load(config["checkpoint"]), datamodule(config["checkpoint"], **changes)
    out = None if config["out"] is None else output_file(config["out"], ".json")
    seed_everything(config["seed"], verbose=False)
    metrics = evaluate(_moved(model, config["device"]), data, config["samples"])
    show(metrics)
    if out is not None:
        out.write_text(json.dumps(metrics, indent=2) + "\n")
        print(out)


def _moved(model: CVAE, device: str) -> CVAE:
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"device: '{device}' cannot be used ({reason}); use device=cpu") from error


if __name__ == "__main__":
    main()
