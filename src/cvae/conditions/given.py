"""x is the condition that comes with each y of the data set."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from cvae.batch import Batch, Items, Shape
from cvae.conditions.base import Condition, Wanted, classes_in, require_classes
from cvae.conditions.x_file import SUFFIXES, read_x
from cvae.errors import InputError, did_you_mean
from cvae.kinds import PartsEncoder, Sizes
from cvae.kinds.numbers import one_hot
from cvae.kinds.parts import Category, Part

_FAR = 5.0
"""Deviations from the mean beyond which x is outside of what a model was trained on."""


class GivenCondition(Condition):
    """x comes with each y in the data set: numbers, an image, a class, or several of these.

    Several parts are flattened and concatenated in their order.

    Raises:
        InputError: If no condition comes with y.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.parts = sizes.given
        if not sizes.given:
            raise InputError(
                "condition: no condition comes with the y of these data; choose "
                "condition=none, or label where they have classes"
            )
        if all(isinstance(part, Category) and part.shape == (1,) for part in self.parts):
            raise InputError(
                "condition: x is of one class only, which says nothing; choose condition=none"
            )
        single = len(self.parts) == 1
        self.asked_by_class = single and isinstance(self.parts[0], Category)
        self.needs_examples = not self.asked_by_class
        size = sum(torch.Size(part.shape).numel() for part in self.parts)
        self.x_shape: Shape = tuple(self.parts[0].shape) if single else (size,)

    def __call__(self, items: Items) -> Batch:
        parts = zip(self.parts, items.given, strict=True)
        return Batch(self._joined([part.values(stored) for part, stored in parts]), items.y)

    @property
    def part_names(self) -> list[str]:
        return [part.name or "x" for part in self.parts]

    def example(self) -> Tensor:
        means = [p.mean or [0.0] * math.prod(p.shape) for p in self.parts]
        doubles = (torch.tensor(mean, dtype=torch.float64) for mean in means)
        shaped = zip(doubles, self.parts, strict=True)
        x = self._joined([mean.reshape(1, *part.shape) for mean, part in shaped])
        return x.float() if self.encoder() is None else x

    def encoder(self) -> PartsEncoder | None:
        one = len(self.parts) < 2 or all(len(part.shape) == 1 for part in self.parts)
        as_it_is = one and not any(part.mean for part in self.parts)
        return None if as_it_is else PartsEncoder(self.parts)

    def encode(self, wanted: Wanted) -> Tensor:
        """Encode values in their own units: of the only part, or of each part by its name.

        A mapping of lists, `{"age": [50, 60], "sex": ["f", "m"]}`, is several conditions; so is a
        list of mappings.

        A text is taken as `read` takes it.

        None is every class once, where x is a class.

        Raises:
            InputError: If x has no such value, or a part is missing.
        """
        single = len(self.parts) == 1
        if isinstance(wanted, Tensor) and wanted.shape[1:] == self.x_shape:
            whole_numbers = not wanted.is_floating_point()
            return self.parts[0].asked(wanted) if whole_numbers and single else wanted
        if isinstance(wanted, str):
            wanted = self.read(wanted)
        if wanted is None and self.asked_by_class:
            wanted = list(range(self.x_shape[0]))
        if wanted is None:
            raise InputError("x: expected a value for x, got none")
        if single:
            return self.parts[0].asked(_of_name(wanted, self.parts[0].name))
        if isinstance(wanted, list | tuple) and all(isinstance(row, Mapping) for row in wanted):
            wanted = _by_name(wanted)
        if not isinstance(wanted, Mapping):
            two = ", ".join(f'"{part.name}": {part.examples()}' for part in self.parts)
            raise InputError(
                f"x: expected a value for each part by its name, as {{{two}}} for two conditions, "
                f"got {wanted!r}"
            )
        known = [part.name for part in self.parts]
        for name in wanted:
            if name not in known:
                raise InputError(f"x: no part is called '{name}'{did_you_mean(name, known)}")
        for name in known:
            if name not in wanted:
                raise InputError(f"x: a value for '{name}' is missing; x has {', '.join(known)}")
        values = [part.asked(wanted[part.name]) for part in self.parts]
        count = max(map(len, values))
        for part, rows in zip(self.parts, values, strict=True):
            if len(rows) not in (1, count):
                raise InputError(f"{part.called}: expected 1 or {count} values, got {len(rows)}")
        return self._joined([rows.expand(count, *rows.shape[1:]) for rows in values])

    def read(self, words: str) -> Wanted:
        """Return a value in words: classes, a number, a value of each part, or a file of x."""
        file = Path(words).expanduser()
        if file.suffix.lower() in SUFFIXES and (file.is_file() or not self.asked_by_class):
            return read_x(file, self.parts)
        if self.asked_by_class:
            return classes_in(words, self.names(torch.eye(*self.x_shape)))
        try:
            # Every value stays a text, which a part reads as its own: yes is no truth value.
            wanted: Wanted = yaml.load(words, yaml.BaseLoader)
        except yaml.YAMLError as error:
            raise InputError(
                f"x: '{words}' cannot be read; expected a number, a list of numbers, a value for "
                "each part such as '{age: 30, sex: f}', or a file"
            ) from error
        return wanted

    def far(self, x: Tensor) -> str:
        distance, said = max(part.farthest(values) for part, values in self._apart(x))
        return f"x: {said}" if distance >= _FAR else ""

    def names(self, x: Tensor) -> list[str]:
        if len(self.parts) == 1:
            return self.parts[0].words(x)
        words = [(part.name, part.words(values)) for part, values in self._apart(x)]
        known = [[f"{name}={word}" for word in said] for name, said in words if said]
        return [", ".join(row) for row in zip(*known, strict=True)]

    def shown(self, x: Tensor) -> Tensor | None:
        shape = self.parts[0].shape
        if len(self.parts) > 1 or len(shape) != 3 or shape[0] not in (1, 3):
            return None
        return x[..., : shape[0], :, :].float().clamp(0, 1)

    def _apart(self, x: Tensor) -> list[tuple[Part, Tensor]]:
        """Return each part with its values, (B, *shape)."""
        if len(self.parts) == 1:
            return [(self.parts[0], x)]
        sizes = [torch.Size(part.shape).numel() for part in self.parts]
        split = zip(self.parts, x.split(sizes, -1), strict=True)
        return [(part, values.unflatten(-1, part.shape)) for part, values in split]

    def _joined(self, values: list[Tensor]) -> Tensor:
        if len(values) == 1:
            return values[0]
        return torch.cat([part.flatten(1) for part in values], 1)


def _by_name(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Return conditions, given one by one, as the values of each part."""
    if any(row.keys() != rows[0].keys() for row in rows):
        raise InputError("x: expected the same parts in each of a list of conditions")
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _of_name(wanted: Any, name: str) -> Any:
    """Return what is wanted of a single part, which may be given by its name."""
    if isinstance(wanted, Mapping):
        if set(wanted) != {name}:
            raise InputError(f"x: expected '{name}' alone, got {', '.join(map(str, wanted))}")
        return wanted[name]
    return torch.from_numpy(wanted) if isinstance(wanted, np.ndarray) else wanted


class LabelAndGivenCondition(GivenCondition):
    """x is the condition that comes with each y, followed by the one-hot label.

    If the condition is a single image, the label is appended as one plane per class, the class's
    own filled with 1 and the others with 0. Otherwise it is a further part.

    Raises:
        InputError: If no condition comes with y, or there is one class only.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        require_classes(sizes)
        self.num_classes = sizes.num_classes
        self.asked_by_class, self.needs_examples = False, True
        first = self.parts[0].shape
        self.planes = len(self.parts) == 1 and len(first) == 3
        if self.planes:
            self.x_shape = (first[0] + sizes.num_classes, *first[1:])
        else:
            names = tuple(map(sizes.name, range(sizes.num_classes)))
            self.parts = (*sizes.given, Category((sizes.num_classes,), "label", names=names))
            self.x_shape = (sum(torch.Size(part.shape).numel() for part in self.parts),)

    def __call__(self, items: Items) -> Batch:
        if not self.planes:
            return super().__call__(items._replace(given=(*items.given, items.labels)))
        x, y = super().__call__(items)
        label = one_hot(items.labels, self.num_classes)
        planes = label[..., None, None].expand(*label.shape, *x.shape[2:])
        return Batch(torch.cat((x, planes), 1), y)

    def encode(self, wanted: Wanted) -> Tensor:
        return Condition.encode(self, wanted) if self.planes else super().encode(wanted)

    def read(self, words: str) -> Wanted:
        return Condition.read(self, words) if self.planes else super().read(words)

    def example(self) -> Tensor:
        return torch.zeros(1, *self.x_shape) if self.planes else super().example()

    def encoder(self) -> PartsEncoder | None:
        return None if self.planes else super().encoder()
