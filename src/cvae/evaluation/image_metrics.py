"""How good a model is: the bounds on its test split, and a judge's view of its images.

Functions that measure return a flat dictionary of numbers by name.
"""

import sys
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from cvae.batch import Batch
from cvae.data.base import PairData
from cvae.data.rows import groups
from cvae.errors import InputError
from cvae.evaluation.judge import FEWEST, Judge
from cvae.evaluation.metrics.diversity import spread_distance
from cvae.evaluation.metrics.kernel import kernel_distance
from cvae.evaluation.metrics.references import EnergyDistance
from cvae.evaluation.nats import JUDGE
from cvae.left import Left
from cvae.model.cvae import CVAE

_CHUNK = 1000
"""Images that a network processes at a time."""
_DRAWS = 16
"""Masks drawn for each condition with several references, the usual number on LIDC."""
_SEVERAL = 0.5
"""Share of conditions with several references below which the repetition is a coincidence."""
_DEAL = 0
"""Seed by which a test split is dealt into two halves."""


class Split(NamedTuple):
    """A whole split: x (N, *x_shape), y (N, *y_shape), y as images (N, C, H, W), labels (N,)."""

    x: Tensor
    y: Tensor
    images: Tensor
    labels: Tensor


def test_split(data: PairData) -> Split:
    """Return the test split as it is served, with its labels; of one on disk, some of it."""
    data.prepare_data()
    data.setup("test")
    items = data.test_set.some()
    x, y = data.on_after_batch_transfer(items)
    return Split(x, y, data.condition.whole(x, y), items.labels)


def examples(data: PairData, count: int) -> Batch:
    """Return so many pairs from evenly spaced places of the test split, or all that there are."""
    data.prepare_data()
    data.setup("test")
    count = min(count, len(data.test_set))
    index = torch.linspace(0, len(data.test_set) - 1, count).long()
    return data.on_after_batch_transfer(data.test_set[index])


def judged_reality(judge: Judge, served: Split, grey: Split) -> dict[str, float]:
    """Return the judge's accuracy on real test images, the reference value for consistency.

    Args:
        judge: A trained judge, in evaluation mode.
        served: The test split with the pixels that the model was trained on.
        grey: The same with its grey levels.
    """
    return {
        f"judge/accuracy_{name}": _accuracy(judge, split.images, split.labels)
        for name, split in (("grey_images", grey), ("pixels_as_served", served))
    }


def judgement(
    model: CVAE, judge: Judge, served: Split, grey: Split, images: int, rng: torch.Generator
) -> dict[str, float]:
    """Return a judge's figures for real and for generated images, and its own checksum.

    Args:
        model: A trained model.
        judge: A trained judge, on the model's device.
        served: The test split with the pixels that the model was trained on.
        grey: The same with its grey levels.
        images: Draws for each class.
        rng: Source of randomness.
    """
    return {
        JUDGE: judge.checksum,
        **judged_reality(judge, served, grey),
        **class_consistency(model, judge, images, rng),
        **distances(model, judge, served, rng),
    }


@torch.no_grad()
def class_consistency(
    model: CVAE, judge: Judge, per_class: int, rng: torch.Generator
) -> dict[str, float]:
    """Return the share of prior samples in which the judge recognises the class asked for.

    Both figures use the same draws of z: `mean_image` is of the likelihood's mean,
    `sampled_pixels` of a draw of every pixel. Empty for a model that cannot be asked for a class.

    Args:
        model: A trained model, on the judge's device.
        judge: A trained judge.
        per_class: Number of draws for each class.
        rng: Source of randomness.
    """
    if not model.condition.asked_by_class:
        return {}
    classes = len(model.conditions_of(None))
    right = {"mean_image": 0, "sampled_pixels": 0}
    labels = torch.arange(classes, device=model.device)
    left = Left("images of each class for the judge", per_class)
    size = max(1, _CHUNK // classes)
    for start in range(0, per_class, size):
        n, state = min(size, per_class - start), rng.get_state()
        for name in right:
            rng.set_state(state)
            images = model.sample(None, n, rng, mean=name == "mean_image")
            found = judge.classes(images.flatten(0, 1)).view(n, classes)
            right[name] += int((found == labels).sum())
        left.done(n)
    return {f"consistency/{name}": count / (per_class * classes) for name, count in right.items()}


@torch.no_grad()
def against_references(model: CVAE, served: Split, rng: torch.Generator) -> dict[str, float]:
    """Return how well masks drawn for a condition agree with its several references.

    A drawn mask is 1 where the mean image given z is above one half. `references_redrawn` are the
    same figures for masks drawn among the references themselves, with replacement: the score of
    the true process, if the references are all that it can give. Conditions with a single
    reference are left out. Empty if most conditions have a single one, or if pixels are grey.
    """
    if not (model.condition.needs_examples and served.images.square().equal(served.images)):
        return {}
    group = groups(served.x)
    counts = group.bincount()
    several = counts > 1
    if several.float().mean() < _SEVERAL:
        return {}
    drawn, redrawn = EnergyDistance(), EnergyDistance()
    left = Left("conditions with references", int(several.sum()))
    order = group.argsort(stable=True)
    for count in counts[several].unique().tolist():
        members = order[counts[group[order]] == count].view(-1, count)
        for part in members.split(_CHUNK // _DRAWS):
            references = served.images[part.T]  # (count, B, C, H, W)
            x = served.x[part[:, 0]].to(model.device)
            samples = model.sample(x, _DRAWS, rng, mean=True).cpu() > 0.5
            drawn.update(samples, references)
            chosen = torch.randint(count, (_DRAWS, len(part)), generator=rng)
            redrawn.update(references[chosen, torch.arange(len(part))], references)
            left.done(len(part))
    return {
        "references/draws": _DRAWS,
        "references/conditions": int(several.sum()),
        **{f"references/{name}": value.item() for name, value in drawn.compute().items()},
        **{f"references_redrawn/{name}": value.item() for name, value in redrawn.compute().items()},
    }


@torch.no_grad()
def distances(model: CVAE, judge: Judge, served: Split, rng: torch.Generator) -> dict[str, float]:
    """Return distances between real and generated images in the judge's features.

    The test split is dealt into two halves at random, the same for every model; dealt class by
    class, they would be more alike than two samples are. The generated images, with every pixel
    drawn, have the conditions of the second half, and are compared with the first half; for the
    floor the second half itself replaces them. Features are scaled so that those of real images
    have mean square 1.

    `frechet` is the distance of Heusel et al. 2017, `kernel` the squared maximum mean discrepancy
    of `kernel_distance` (unbiased, so it may be below zero), `spread` that of `spread_distance`.

    Raises:
        InputError: If the split is too small to be halved.
    """
    if len(served.y) < FEWEST:
        raise InputError(
            f"images: a judge needs at least {FEWEST} test images to measure distances, "
            f"got {len(served.y)}; set images=0"
        )
    dealt = torch.randperm(len(served.y), generator=torch.Generator().manual_seed(_DEAL))
    first, second = (Split(*(part[dealt[start::2]] for part in served)) for start in (0, 1))
    left, parts = Left("images for the distances", len(second.x)), []
    for x in second.x.split(_CHUNK):
        parts.append(model.sample(x.to(model.device), 1, rng)[0].cpu())
        left.done(len(x))
    generated = torch.cat(parts)
    classes = [split.labels for split in (first, second)]
    if not model.condition.asked_by_class:  # then generated images have no class
        classes = [torch.zeros_like(labels) for labels in classes]
    real = _features(judge, first.images)
    scale = real.square().mean().sqrt()
    found: dict[str, float] = {}
    for suffix, images in (("", generated), ("_floor", second.images)):
        features = _features(judge, images)
        if not features.isfinite().all():  # in which linear algebra crashes
            print("no distances: the images drawn are not finite", file=sys.stderr)
            return {}
        measured = feature_distances(real / scale, features / scale, *classes)
        found |= {f"distance/{name}{suffix}": value for name, value in measured.items()}
    return found


def feature_distances(
    real: Tensor, generated: Tensor, real_classes: Tensor, generated_classes: Tensor
) -> dict[str, float]:
    """Return the Fréchet, kernel and spread distances between features (N, F) of classes (N,)."""
    taken = nn.Identity()  # the features are computed already
    taken.num_features = real.shape[1]  # type: ignore[assignment]
    frechet = FrechetInceptionDistance(feature=taken)
    frechet.update(real, real=True)
    frechet.update(generated, real=False)
    spread = spread_distance(real, generated, real_classes, generated_classes)
    return {
        "frechet": frechet.compute().item(),
        "kernel": kernel_distance(real, generated).item(),
        **{name: value.item() for name, value in spread.items()},
    }


def _features(judge: Judge, images: Tensor) -> Tensor:
    return torch.cat([judge.features(part.to(judge.device)).cpu() for part in images.split(_CHUNK)])


def _accuracy(judge: Judge, images: Tensor, labels: Tensor) -> float:
    found = [judge.classes(part.to(judge.device)).cpu() for part in images.split(_CHUNK)]
    return (torch.cat(found) == labels).float().mean().item()
