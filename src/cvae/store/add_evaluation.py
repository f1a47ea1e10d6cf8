"""What an evaluation adds to the folder of its run."""

import json
import shutil
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.tensorboard import SummaryWriter

from cvae.data.base import PairData
from cvae.errors import InputError
from cvae.evaluation.calibration_picture import calibration
from cvae.evaluation.diagnostics.examine import Examination
from cvae.evaluation.figures import bars, latent_planes, png
from cvae.evaluation.image_metrics import test_split
from cvae.evaluation.metrics.latent import KL_PER_DIMENSION
from cvae.evaluation.panels import latent_plane
from cvae.evaluation.pictures import pictures_of
from cvae.files import write_whole
from cvae.model.cvae import CVAE
from cvae.model.distributions import moments
from cvae.store.events import in_markdown
from cvae.store.run_folder import RunFolder

_SHOWN = 2000
"""Test targets in the pictures of the latent space."""
_PLANE = "posterior means of test targets,\nand the prior at two standard deviations"
_EVALUATION = (
    *("test/", "verdict/", "judge/", "consistency/", "distance/"),
    *("references", "samples", "images"),
)


def add_evaluation(
    folder: RunFolder,
    model: CVAE,
    data: PairData,
    metrics: Mapping[str, float],
    said: Sequence[str],
    found: Examination,
    step: int,
) -> None:
    """Add an evaluation to a run's metrics and TensorBoard; draw its latent space.

    What an earlier evaluation has left is replaced.

    Args:
        folder: The run's folder.
        model: Its model, on the CPU.
        data: Its data.
        metrics: The evaluation.
        said: What it says in words.
        found: What they say it of.
        step: The training step that it belongs to.

    Raises:
        InputError: If the run's metrics are damaged; the evaluation is written next to them.
    """
    try:
        before = folder.read_metrics()
    except InputError as error:  # which was sound when the evaluation began
        write_whole(folder.evaluation, json.dumps(dict(metrics), indent=2) + "\n")
        raise InputError(
            f"{error}; the evaluation is in '{folder.evaluation}'; to have it in the run as well, "
            "repair or delete the damaged file and evaluate again"
        ) from error
    kept = {name: value for name, value in before.items() if not name.startswith(_EVALUATION)}
    folder.write_metrics(kept | dict(metrics))
    write_whole(folder.verdict, "\n".join(said) + "\n")
    folder.calibration.unlink(missing_ok=True)
    settings, tensors = folder.projected  # to which TensorBoard's writer would append
    settings.unlink(missing_ok=True)
    shutil.rmtree(tensors, ignore_errors=True)
    with SummaryWriter(str(folder.path)) as writer:
        writer.add_text("metrics", in_markdown(kept | dict(metrics)), step)
        kl = [value for name, value in metrics.items() if name.startswith(KL_PER_DIMENSION)]
        if kl:
            writer.add_figure("latent/kl_per_dimension", bars(torch.tensor(kl), "KL, nats"), step)
        writer.add_text("verdict", "\n\n".join(said), step)
        if found.places:
            write_whole(folder.calibration, png(calibration(found.places, found.names)))
            writer.add_figure("verdict/calibration", calibration(found.places, found.names), step)
        _show_latent_space(writer, folder, model, data, step)


@torch.no_grad()
def _show_latent_space(
    writer: SummaryWriter, folder: RunFolder, model: CVAE, data: PairData, step: int
) -> None:
    x, y, whole, labels = (part[:_SHOWN] for part in test_split(data))
    means, _ = moments(model.posterior(x, y))
    images = pictures_of(data.sizes).sprites(whole)
    sprites = None if images is None else _square(images)
    if means.shape[1] > 0:
        writer.add_embedding(means, labels.tolist(), sprites, tag="posterior_means")
    if means.shape[1] > 1:
        plane = latent_plane(model, x, y, labels, data.sizes)
        write_whole(folder.latent_plane, png(latent_planes({_PLANE: plane})))
        writer.add_figure("latent/plane", latent_planes({_PLANE: plane}), step)


def _square(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) on a white square: the projector's sheet has room for no other."""
    height, width = images.shape[2:]
    size = max(height, width)
    return pad(images, (0, size - width, 0, size - height), value=1.0)
