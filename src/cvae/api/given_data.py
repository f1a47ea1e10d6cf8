"""Data in memory, written where every command finds them again."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import Dataset

from cvae.config.compose import written
from cvae.data.table import load_polars
from cvae.errors import InputError
from cvae.kinds import plain
from cvae.kinds.words import words_for

_SPLITS = {"": "train_dataloader", "_val": "val_dataloader", "_test": "test_dataloader"}
"""What the arrays of a data module's splits end in, and what serves them."""


def options_of(
    data: Any, x: Sequence[str], y: Sequence[str], kind: str | None, folder: Path
) -> list[str]:
    """Return the overrides that choose some data; those in memory are written to a folder first.

    Args:
        data: The name of an option of `data`, a file or a folder, a pair (x, y) or y alone, a data
            frame, a torch `Dataset` of pairs (x, y), or a data module whose batches are such pairs.
            x is an array, or several by name.
        x: The columns of a table that are x.
        y: Those that are y.
        kind: What y is, as an option of `data`; None to tell by its values.
        folder: Where data are written.

    Raises:
        InputError: If it is nothing of these, or the values do not tell what y is.
    """
    if isinstance(data, str | Path):
        return _named(str(data), x, y, kind)
    if hasattr(data, "columns"):
        return _table(_written_table(plain(data), folder), x, y)
    if x or y:
        raise InputError("x, y: names of columns are for a data frame, or a file of a table")
    if isinstance(data, LightningDataModule):
        return _arrays(_of_module(data), kind, folder)
    if isinstance(data, Dataset):
        return _arrays(_of_split(_items(data), ""), kind, folder)
    if isinstance(data, tuple) and len(data) != 2:
        raise InputError(f"data: expected a pair (x, y), got {len(data)} values")
    given_x, given_y = data if isinstance(data, tuple) else (None, data)
    if np.ndim(given_y) == 0:
        raise InputError(
            "data: expected the name of an option or a file, arrays (x, y), a data frame, a "
            f"Dataset or a LightningDataModule, got {type(given_y).__name__}"
        )
    return _arrays(_of_split([(given_x, given_y)], ""), kind, folder)


def _named(data: str, x: Sequence[str], y: Sequence[str], kind: str | None) -> list[str]:
    path = Path(data).expanduser()
    if path.suffix in (".csv", ".parquet"):
        return _table(path, x, y)
    if path.suffix == ".npz" or (path / "y.npy").is_file():
        if kind is None:
            raise InputError(f"kind: what y of '{data}' is has to be said, such as kind='vectors'")
        return [f"data={kind}", f"data.path={written(str(path.absolute()))}"]
    return [f"data={data}"]


def _table(path: Path, x: Sequence[str], y: Sequence[str]) -> list[str]:
    if not y:
        raise InputError("y: expected the columns of the table that are y, such as y=['height']")
    columns = [f"data.{name}=[{','.join(map(written, of))}]" for name, of in (("x", x), ("y", y))]
    return [
        *("data=table", f"data.path={written(str(path.absolute()))}", *columns),
        *([] if x else ["condition=none"]),
    ]


def _written_table(columns: Mapping[str, np.ndarray], folder: Path) -> Path:
    polars = load_polars()
    # Missing words are None in a list, and NaN in what pandas gives.
    lists = {name: [None if v != v else v for v in c.tolist()] for name, c in columns.items()}
    path = folder / "data.parquet"
    polars.DataFrame(lists, strict=False).write_parquet(path)
    return path


def _arrays(arrays: Mapping[str, np.ndarray], kind: str | None, folder: Path) -> list[str]:
    word = kind or _kind_of(arrays["y"])
    np.savez(folder / "data.npz", allow_pickle=False, **arrays)
    line = [f"data={word}", f"data.path={written(str((folder / 'data.npz').absolute()))}"]
    given = [array for name, array in arrays.items() if name.partition(".")[0] == "x"]
    if not given:
        return [*line, "condition=none"]
    is_class = len(given) == 1 and given[0].ndim == 1 and given[0].dtype.kind in "iuU"
    return line if is_class or word != "arrays" else [*line, "condition=given"]


def _kind_of(y: np.ndarray) -> str:
    """Return the option of `data` that y is of, where its values leave no doubt."""
    fitting = words_for(y)
    if y.dtype.kind == "f":  # whole numbers may be counts or categories
        for dimensions, word in ((1, "vectors"), (2, "vectors"), (4, "arrays")):
            if y.ndim == dimensions and word in fitting:
                return word
    if len(fitting) == 1:
        return fitting[0]
    options = " or ".join(f"kind='{word}'" for word in fitting)
    raise InputError(
        f"kind: y is {y.dtype} of shape {y.shape}, which can be several things; say {options}"
        if fitting
        else f"data: y is {y.dtype} of shape {y.shape}, which is no kind of data"
    )


def _items(data: Dataset[Any]) -> Iterable[tuple[Any, Any]]:
    for index in range(len(data)):  # type: ignore[arg-type]
        x, y = _pair(data[index])
        named = isinstance(x, Mapping)
        row = {name: _array(part)[None] for name, part in x.items()} if named else _array(x)[None]
        yield row, _array(y)[None]


def _of_module(data: LightningDataModule) -> dict[str, np.ndarray]:
    """Return the arrays of all splits that a data module serves."""
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    found: dict[str, np.ndarray] = {}
    for split, name in _SPLITS.items():
        if getattr(type(data), name) is getattr(LightningDataModule, name):
            continue  # it has none
        batches = getattr(data, name)() or ()
        found |= _of_split(map(_pair, batches), split)
    if "y" not in found:
        raise InputError("data: the data module has no training batches")
    return found


def _pair(item: Any) -> tuple[Any, Any]:
    if isinstance(item, Mapping) and "y" in item:
        return item.get("x"), item["y"]
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise InputError(f"data: expected pairs (x, y), got {type(item).__name__}")
    return item[0], item[1]


def _of_split(batches: Iterable[tuple[Any, Any]], split: str) -> dict[str, np.ndarray]:
    """Return the arrays of some batches (x, y), by the names that a file of them has."""
    parts: dict[str, list[np.ndarray]] = {}
    for x, y in batches:
        named = {f"x.{name}": part for name, part in x.items()} if isinstance(x, Mapping) else {}
        if x is not None and not named:
            named = {"x": x}
        for name, part in {**named, "y": y}.items():
            parts.setdefault(name + split, []).append(_array(part))
    return {name: np.concatenate(some) for name, some in parts.items()}


def _array(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    return array.astype(str) if array.dtype.kind == "O" else array
