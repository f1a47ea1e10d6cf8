"""`cvae-evaluate`: how good a trained model is on its test split."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import RichProgressBar
from torch.utils.tensorboard import SummaryWriter

from cvae import checkpoint
from cvae import config as configuration
from cvae.callbacks import ImportanceSampling
from cvae.cli import command, output_file, require_precision, show, telling
from cvae.conditions import LabelCondition
from cvae.config import Config
from cvae.data.base import LabelledImages
from cvae.errors import require_at_least, require_seed
from cvae.evaluation import (
    Split,
    by_kind,
    class_consistency,
    distances,
    judged_reality,
    test,
    test_split,
)
from cvae.judge import judge_of
from cvae.module import CVAE, KL_PER_DIMENSION
from cvae.pictures import latent_plane
from cvae.plots import bars, latent_planes, png

_SHOWN = 2000
"""Test images in the pictures of the latent space."""

_JUDGE_DATA = {"batch_size": 128, "val_fraction": 0.1, "split_seed": 0}
"""However a run was trained, so that all runs on the same data have the same judge."""

Data = Callable[..., LabelledImages]
"""The data that the model was trained on, with changes."""


def bounds(
    model: CVAE, data: Data, trainer: Callable[..., Trainer], samples: int
) -> dict[str, float]:
    """Return the ELBO with its terms, the importance-sampled NLL, and the use of the latent space.

    A cross-entropy on grey pixels is of no distribution; the NLL of such a model is that of its
    Bernoulli on the test images binarised once, and `test/binarized_elbo` the bound that goes with
    it.
    """
    progress, sampling = RichProgressBar(leave=False), ImportanceSampling(samples)
    if model.generator.likelihood.nats_of != "cross_entropy":
        return test(model, data(), trainer(callbacks=[progress, sampling]))
    metrics = test(model, data(), trainer(callbacks=[progress]))
    binary = test(model, data(binarize="dynamic"), trainer(callbacks=[progress, sampling]))
    metrics["test/binarized_elbo"] = binary["test/elbo"]
    return metrics | {key: value for key, value in binary.items() if key not in metrics}


def judgement(
    model: CVAE, data: Data, served: Split, trainer: Callable[..., Trainer], config: Config
) -> dict[str, float]:
    """Return what a judge says of generated images; the judge is trained if there is none yet."""
    labelled = data(condition=LabelCondition, binarize="none", **_JUDGE_DATA)
    judge, folder = judge_of(labelled, Path(config["judges"]).expanduser(), trainer)
    print(f"judge: {folder}")
    device = trainer().strategy.root_device
    model, judge = model.to(device), judge.to(device)
    generator = torch.Generator().manual_seed(config["seed"])
    return {
        **judged_reality(judge, served, test_split(labelled)),
        **class_consistency(model, judge, config["images"], generator),
        **distances(model, judge, served, generator),
    }


def write(run_dir: Path, model: CVAE, served: Split, metrics: Mapping[str, float]) -> None:
    """Add an evaluation to a run's folder: its metrics.json, its TensorBoard, and latent.png."""
    file = run_dir / "metrics.json"
    merged = (json.loads(file.read_text()) if file.is_file() else {}) | dict(metrics)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(merged, indent=2) + "\n")
    fresh.replace(file)

    _, contents = checkpoint.read(run_dir)
    x, y, labels = (part[:_SHOWN] for part in served)
    (run_dir / "projector_config.pbtxt").unlink(missing_ok=True)  # it would be appended to
    with SummaryWriter(str(run_dir)) as writer:
        step = contents["global_step"]
        for name, value in by_kind(metrics, model.generator.likelihood.nats_of).items():
            writer.add_scalar(name, value, step)
        kl = [value for name, value in metrics.items() if name.startswith(KL_PER_DIMENSION)]
        if kl:
            writer.add_figure("latent/kl_per_dimension", bars(torch.tensor(kl), "KL, nats"), step)
        means = model.posterior(x, y).mean.detach()
        writer.add_embedding(means, labels.tolist(), 1 - y, tag="posterior_means")
        if means.shape[1] > 1:
            plane = latent_plane(model, x, y, labels, contents[checkpoint.KEY]["num_classes"])
            title = "posterior means of test images, and the prior at two standard deviations"
            (run_dir / "latent.png").write_bytes(png(latent_planes({title: plane})))
            writer.add_figure("latent/plane", latent_planes({title: plane}), step)


@command("evaluate")
def main(config: Config) -> None:
    """Run `cvae-evaluate`."""
    configuration.check(config)
    require_at_least("samples", config["samples"], 1)
    require_at_least("images", config["images"], 0)
    require_seed("seed", config["seed"])
    changes = {key: value for key, value in config["data"].items() if value is not None}
    data = partial(checkpoint.datamodule, config["checkpoint"], **changes)
    trainer = configuration.single_device_trainer(config["trainer"])
    with telling("trainer", "; trainer=cpu runs everywhere"):  # now, rather than after the work
        require_precision(trainer())
    data()
    model = checkpoint.load(config["checkpoint"])
    path = Path(config["checkpoint"]).expanduser()
    run_dir = path if path.is_dir() else None
    outputs = [out for out in (config["out"], run_dir and str(run_dir / "metrics.json")) if out]
    files = [output_file(out, ".json") for out in outputs]

    seed_everything(config["seed"], verbose=False)
    metrics = bounds(model, data, trainer, config["samples"])
    nats_of = model.generator.likelihood.nats_of
    served = test_split(data(binarize="dynamic") if nats_of == "cross_entropy" else data())
    if config["images"]:
        metrics |= judgement(model, data, served, trainer, config)
    metrics |= {"samples": config["samples"], "images": config["images"]}
    show(metrics, model)
    if config["out"] is not None:
        files[0].write_text(json.dumps(metrics, indent=2) + "\n")
    if run_dir is not None:
        write(run_dir, model.cpu(), served, metrics)
    for file in files:
        print(file)


if __name__ == "__main__":
    main()
