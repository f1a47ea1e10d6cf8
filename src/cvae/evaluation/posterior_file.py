"""What the posterior says of each item, as values in a file: numpy's .npz, or a table."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cvae.data.base import PairData
from cvae.data.rows import Rows
from cvae.errors import InputError
from cvae.evaluation.draws_file import table
from cvae.left import Left
from cvae.model.cvae import CVAE
from cvae.model.distributions import moments

_CHUNK = 1000
"""Items that the posterior maps at a time."""


class Encoded(NamedTuple):
    """Items and their posteriors q(z|x, y).

    Attributes:
        item: The number of each item in its source, (N,).
        x: Conditions (N, *x_shape).
        words: Each x in words; empty where it has none.
        label: The name of the class of each item; empty where there are no classes.
        mean: Means of z, (N, L).
        deviation: Standard deviations of z, (N, L).
    """

    item: Tensor
    x: Tensor
    words: list[str]
    label: list[str]
    mean: Tensor
    deviation: Tensor


@torch.no_grad()
def encode(model: CVAE, data: PairData, rows: Rows, numbers: Tensor) -> Encoded:
    """Return items with their posteriors, in the order of their numbers.

    Args:
        model: A trained model, on the CPU.
        data: What the items are of.
        rows: The items.
        numbers: The number of each, (N,).

    Raises:
        InputError: If the model has no z.
    """
    if model.generator.latent_dim == 0:
        raise InputError("checkpoint: this model has no z, it was trained with latent_dim=0")
    left, parts, order = Left("items", len(rows)), [], numbers.argsort()
    for index in order.split(_CHUNK):  # not of a part: pixels are drawn by their place in the rows
        x, y = data.on_after_batch_transfer(rows[index])
        parts.append((x, *moments(model.posterior(x, y))))
        left.done(len(index))
    x, mean, deviation = (torch.cat(part) for part in zip(*parts, strict=True))
    several = data.sizes.num_classes > 1
    label = [data.sizes.name(k) for k in rows.labels[order].tolist()] if several else []
    return Encoded(numbers[order], x, model.condition.names(x), label, mean, deviation)


def contents(suffix: str, found: Mapping[str, Encoded]) -> bytes:
    """Return the contents of a file of posteriors.

    Args:
        suffix: One of `cvae.evaluation.draws_file.FORMATS`. `.npz` has `item`, `mean` and
            `deviation`, `x` and `label`, as `Encoded` describes them. A table has a row for each
            item, with x where it has a name, the class where that says more, and a column for each
            mean and deviation. Both have `split`, where there are several. Rows are in the order of
            the items' file; where the test split has a file of its own, its items come last.
        found: The items of each split, by its name, "test" the last.

    Raises:
        InputError: If `.parquet` lacks its extra.
    """
    order = _order(found)
    split = [name for name, part in found.items() for _ in part.item] if len(found) > 1 else []
    split, words, label = (
        [texts[k] for k in order.tolist()] if texts else []
        for texts in (split, _joined(found, "words"), _joined(found, "label"))
    )
    item, x, mean, deviation = (
        torch.cat([getattr(part, name) for part in found.values()])[order]
        for name in ("item", "x", "mean", "deviation")
    )
    if suffix == ".npz":
        arrays: dict[str, Any] = {
            "item": item.numpy(),
            "mean": mean.numpy(),
            "deviation": deviation.numpy(),
            "x": x.numpy(),
        }
        named = {"split": split, "label": label}
        arrays |= {name: np.array(texts) for name, texts in named.items() if texts}
        file = BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()
    texts = {"split": split, "x": words, "label": [] if label == words else label}
    texts = {name: column for name, column in texts.items() if column}
    dimensions = range(mean.shape[1])
    header = ["item", *texts, *(f"{of}_z{k}" for of in ("mean", "deviation") for k in dimensions)]
    columns = zip(item.tolist(), *texts.values(), mean.tolist(), deviation.tolist(), strict=True)
    return table(suffix, header, [[*told, *means, *spread] for *told, means, spread in columns])


def _joined(found: Mapping[str, Encoded], name: str) -> list[str]:
    return [word for part in found.values() for word in getattr(part, name)]


def _order(found: Mapping[str, Encoded]) -> Tensor:
    """Return the places of all items, of the splits one after another, in the order of the file."""
    *others, last = (part.item for part in found.values())
    first = torch.cat([last[:0], *others])
    if torch.isin(last, first).any():  # two files, both counted from 0
        return torch.cat((first.argsort(), len(first) + last.argsort()))
    return torch.cat((first, last)).argsort()
