"""The description of a data set: enough to build a model for its items."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple, Self

from cvae.errors import InputError
from cvae.kinds.base import Target
from cvae.kinds.image import Image
from cvae.kinds.parts import PARTS, Part, of_shape
from cvae.kinds.words import TARGETS

_OF_THE_VALUES = ("mean", "scale", "average", "levels", "white")
"""Fields that say what values there are, and not what they mean."""
_AT_MOST = ("missing", "categories")
"""Fields of which a model takes less as well."""


class Sizes(NamedTuple):
    """What the items of a data set are like: enough to build a model for them."""

    y: Target
    """What y is."""
    num_classes: int
    """Number of classes; 1 if there are none."""
    given: tuple[Part, ...] = ()
    """The parts of the condition that comes with each y; none if there is none."""
    class_names: tuple[str, ...] = ()
    """Name of each class; empty if classes are named by their numbers."""

    def name(self, label: int) -> str:
        """Return the name of a class."""
        return self.class_names[label] if self.class_names else str(label)

    def plain(self) -> dict[str, Any]:
        """Return the description as plain data, which `from_plain` takes."""
        return {
            "y": _plain(self.y),
            "num_classes": self.num_classes,
            "given": [_plain(part) for part in self.given],
            "class_names": list(self.class_names),
        }

    def require_alike(self, other: "Sizes") -> None:
        """Raise an `InputError` unless a model for these items takes those of another data set."""
        ours, theirs = (_by_name(sizes.plain()) for sizes in (self, other))
        for name in {**ours, **theirs}:
            field, expected, came = name.rpartition(".")[2], ours.get(name), theirs.get(name)
            less = field in _AT_MOST and (came or 0) <= (expected or 0)
            if expected != came and field not in _OF_THE_VALUES and not less:
                raise InputError(
                    f"data: these are not like those of the run, {name} is {came}, expected "
                    f"{expected}"
                )

    @classmethod
    def from_plain(cls, contents: Mapping[str, Any]) -> Self:
        """Return the description that plain data are of.

        Raises:
            KeyError, TypeError, ValueError: If they are of none.
        """
        names = tuple(contents.get("class_names", ()))
        if "image_shape" in contents:  # as the first versions wrote it
            y: Target = Image(tuple(contents["image_shape"]), levels=contents.get("levels", 256))
            shape = tuple(contents.get("given_shape", (0,)))
            given = () if shape == (0,) else (of_shape(shape),)
            return cls(y, contents["num_classes"], given, names)
        y = _described(contents["y"], TARGETS)
        parts = tuple(_described(part, PARTS) for part in contents["given"])
        for shape in (y.shape, *(part.shape for part in parts)):
            if not all(type(side) is int and side >= 0 for side in shape):
                raise ValueError(f"{shape} is no shape")
        if not isinstance(contents["num_classes"], int) or contents["num_classes"] < 1:
            raise ValueError("there is one class at least")
        return cls(y, contents["num_classes"], parts, names)


def _by_name(value: Any, name: str = "") -> dict[str, Any]:
    """Return the leaves of plain data, by their names."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    found: dict[str, Any] = {}
    for key, part in items:
        place = f"{name}.{key}".lstrip(".")
        described = isinstance(part, list) and any(isinstance(one, Mapping) for one in part)
        nested = described or isinstance(part, Mapping)
        found |= _by_name(part, place) if nested else {place: part}
    return found


def _plain(described: Target | Part) -> Any:
    whole = {"kind": type(described).__name__, **asdict(described)}
    return json.loads(json.dumps(whole))  # with lists for tuples


def _described(contents: Mapping[str, Any], kinds: Mapping[str, Any]) -> Any:
    fields = _tupled(dict(contents))  # what is no mapping is a TypeError
    return kinds[fields.pop("kind")](**fields)


def _tupled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tupled(part) for key, part in value.items()}
    return tuple(_tupled(part) for part in value) if isinstance(value, list) else value
