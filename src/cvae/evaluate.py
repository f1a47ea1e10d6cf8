"""`cvae-evaluate`: how good a trained model is on its test split."""

import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import RichProgressBar
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.tensorboard import SummaryWriter

from cvae import checkpoint
from cvae.batch import Support
from cvae.building import check, require_precision, single_device_trainer, telling
from cvae.callbacks import ImportanceSampling
from cvae.cli import evaluate as main
from cvae.cli import output_file
from cvae.config import Config, changes
from cvae.data.base import ImageData
from cvae.distributions import moments
from cvae.errors import InputError, require_at_least, require_seed
from cvae.files import write_whole
from cvae.judge import Data, Judge, judge_for, why_no_judge
from cvae.measures import (
    Split,
    against_references,
    by_kind,
    class_consistency,
    distances,
    judged_reality,
    test,
    test_split,
)
from cvae.module import CVAE, KL_PER_DIMENSION
from cvae.pictures import latent_plane
from cvae.plots import bars, latent_planes, png
from cvae.tables import show

_SHOWN = 2000
"""Test images in the pictures of the latent space."""

_EVALUATION = ("test/", "judge/", "consistency/", "distance/", "references", "samples", "images")


def bounds(
    model: CVAE, data: Data, trainer: Callable[..., Trainer], samples: int
) -> dict[str, float]:
    """Return the ELBO with its terms, the importance-sampled NLL, and the use of the latent space.

    A cross-entropy on grey pixels is of no distribution; the NLL of such a model is that of its
    Bernoulli on the test images binarised once, the part of them that is x as well, and
    `test/binarized_elbo` the bound that goes with it.
    """
    progress, sampling = RichProgressBar(leave=False), ImportanceSampling(samples)
    served, scored = data(), in_scored_pixels(model, data)
    if scored.binarize == served.binarize:
        return test(model, served, trainer(callbacks=[progress, sampling]))
    metrics = test(model, served, trainer(callbacks=[progress]))
    binary = test(model, scored, trainer(callbacks=[progress, sampling]))
    metrics["test/binarized_elbo"] = binary["test/elbo"]
    return metrics | {key: value for key, value in binary.items() if key not in metrics}


def in_scored_pixels(model: CVAE, data: Data) -> ImageData:
    """Return the data in pixels that the generator is a distribution over."""
    served = data()
    crossed = model.generator.likelihood.nats_of == "cross_entropy"
    return data(binarize="dynamic") if crossed and served.support > Support.BINARY else served


def judgement(
    model: CVAE, judge: Judge, served: Split, grey: Split, images: int, seed: int
) -> dict[str, float]:
    """Return what a judge says of real and of generated images."""
    generator = torch.Generator().manual_seed(seed)
    return {
        **judged_reality(judge, served, grey),
        **class_consistency(model, judge, images, generator),
        **distances(model, judge, served, generator),
    }


@torch.no_grad()
def write(run_dir: Path, model: CVAE, data: ImageData, metrics: Mapping[str, float]) -> None:
    """Add an evaluation to a run's folder: its metrics.json, its TensorBoard, and latent.png.

    What an earlier evaluation has left is replaced.
    """
    file = run_dir / "metrics.json"
    before = json.loads(file.read_text()) if file.is_file() else {}
    kept = {name: value for name, value in before.items() if not name.startswith(_EVALUATION)}
    write_whole(file, json.dumps(kept | dict(metrics), indent=2) + "\n")

    _, contents = checkpoint.read(run_dir)
    x, y, images, labels = (part[:_SHOWN] for part in test_split(data))
    (run_dir / "projector_config.pbtxt").unlink(missing_ok=True)  # it would be appended to
    shutil.rmtree(run_dir / "00000", ignore_errors=True)
    with SummaryWriter(str(run_dir)) as writer:
        step = contents["global_step"]
        for name, value in by_kind(metrics, model.generator.likelihood.nats_of).items():
            writer.add_scalar(name, value, step)
        kl = [value for name, value in metrics.items() if name.startswith(KL_PER_DIMENSION)]
        if kl:
            writer.add_figure("latent/kl_per_dimension", bars(torch.tensor(kl), "KL, nats"), step)
        means, _ = moments(model.posterior(x, y))
        sprites = _square(1 - images if images.shape[1] == 1 else images)  # ink, as everywhere
        if means.shape[1] > 0:
            writer.add_embedding(means, labels.tolist(), sprites, tag="posterior_means")
        if means.shape[1] > 1:
            plane = latent_plane(model, x, y, labels, data.sizes)
            title = "posterior means of test images,\nand the prior at two standard deviations"
            write_whole(run_dir / "latent.png", png(latent_planes({title: plane})))
            writer.add_figure("latent/plane", latent_planes({title: plane}), step)


def _square(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) on a white square: the projector's sheet has room for no other."""
    height, width = images.shape[2:]
    size = max(height, width)
    return pad(images, (0, size - width, 0, size - height), value=1.0)


def run(config: Config) -> None:
    """Run `cvae-evaluate`."""
    # What is wrong is said now, rather than after the work.
    check(config)
    require_at_least("samples", config["samples"], 1)
    require_at_least("images", config["images"], 0)
    require_seed("seed", config["seed"])
    trainer = single_device_trainer(config["trainer"])
    with telling("trainer", "; trainer=cpu runs everywhere"):
        require_precision(trainer())
    data = partial(
        checkpoint.datamodule, config["checkpoint"], config["allow"], **changes(config["data"])
    )
    no_judge = why_no_judge(data())
    model = checkpoint.load(config["checkpoint"], config["allow"])
    model.compiled = config["compile"]
    path = Path(config["checkpoint"]).expanduser()
    run_dir = path if path.is_dir() else None
    out = None if config["out"] is None else output_file(config["out"], ".json")
    if run_dir is not None:
        try:
            output_file(str(run_dir / "metrics.json"), ".json")
        except OSError as error:
            raise InputError(
                f"checkpoint: the folder '{run_dir}' cannot be written to; to leave the run as it "
                f"is, give {run_dir / 'checkpoints' / 'best.ckpt'} itself"
            ) from error
    judged: tuple[Judge, ImageData] | None = None
    if config["images"] and no_judge:
        print(f"no judge: {no_judge}")
    elif config["images"]:
        judged = judge_for(data, Path(config["judges"]), config["trainer"]["accelerator"])

    seed_everything(config["seed"], verbose=False)
    metrics = bounds(model, data, trainer, config["samples"]) | {"samples": config["samples"]}
    device = trainer().strategy.root_device
    split, images = test_split(in_scored_pixels(model, data)), config["images"]
    model = model.to(device)
    metrics |= against_references(model, split, torch.Generator().manual_seed(config["seed"]))
    if judged is not None:
        judge, grey = judged[0].to(device), judged[1]
        metrics |= judgement(model, judge, split, test_split(grey), images, config["seed"])
        metrics |= {"images": images}
    show(metrics, model)
    if out is not None:
        write_whole(out, json.dumps(metrics, indent=2) + "\n")
        print(out)
    if run_dir is not None:
        write(run_dir, model.cpu(), data(), metrics)
        print(run_dir / "metrics.json")


if __name__ == "__main__":
    main()
