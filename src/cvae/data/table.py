"""A user's own table: rows of a .csv or .parquet, whose columns are x and y."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cvae.batch import Items
from cvae.conditions import ConditionBuilder
from cvae.data.read_by import way_to_read
from cvae.data.rows import InMemory
from cvae.data.user_data import OwnData
from cvae.errors import ArgumentError, InputError, did_you_mean
from cvae.kinds import Part, Sizes
from cvae.kinds.parts import Category, Numbers
from cvae.kinds.table import COLUMN_KINDS, Column, Kind, Table

_MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "?"]
"""How a .csv says that a value is missing."""
_LARGEST_COUNT = 10_000
"""Whole numbers beyond which a column is hardly one of counts."""
_MANY = 1000
"""Values of a column beyond which it is hardly one of categories."""


class TableData(OwnData):
    """Reads `FILE.csv` or `FILE.parquet`: each row is a pair of some columns x and other columns y.

    A column of words is a category, one of true and false or of 0 and 1 is binary, one of whole
    numbers from 0 to 10,000 counts, and any other is real. Missing values of y are left out of the
    likelihood.

    Args:
        condition: Builder of the condition.
        path: The file.
        x: Names of the columns of x; none for condition=none.
        y: Names of the columns of y.
        kinds: What a column is, by its name, where that is not to be guessed: "real", "count",
            "category" or "binary".
        **options: As for `PairData`.

    Raises:
        InputError: If the file or a column is missing or does not fit; the message names both.
    """

    def __init__(
        self,
        condition: ConditionBuilder,
        *,
        path: str,
        y: Sequence[str],
        x: Sequence[str] = (),
        kinds: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(condition, **options)
        x, y = ([names] if isinstance(names, str) else names for names in (x, y))
        self.path = Path(path).expanduser()
        frame = _read(self.path)
        self._require_columns(frame, x, y, kinds or {})
        parts = [self._part(frame[name], (kinds or {}).get(name)) for name in x]
        columns, values = zip(
            *(self._column(frame[name], (kinds or {}).get(name)) for name in y), strict=True
        )
        stored = torch.stack(values, 1)
        table = Table((len(y),), missing=bool(stored.isnan().any()), described=tuple(columns))
        single = len(parts) == 1 and isinstance(parts[0][0], Category)
        labels = parts[0][1] if single else torch.zeros(len(stored), dtype=torch.int64)
        self.rows = InMemory(Items(stored, labels, tuple(part for _, part in parts)))
        given = tuple(part for part, _ in parts)
        names = parts[0][0].names if single else ()
        self.describe(Sizes(table, max(1, len(names)), given, names), standardize=True)

    def _require_columns(
        self, frame: Any, x: Sequence[str], y: Sequence[str], kinds: Mapping[str, str]
    ) -> None:
        for argument, names in (("x", x), ("y", y), ("kinds", kinds)):
            for name in names:
                if name not in frame.columns:
                    hint = did_you_mean(name, frame.columns)
                    raise ArgumentError(argument, f"'{self.path}' has no column '{name}'{hint}")
        if not y:
            raise ArgumentError(
                "y", f"expected columns of '{self.path}', such as [height], got none"
            )
        twice = [name for name in x if name in y]
        if twice:
            raise ArgumentError("y", f"column '{twice[0]}' is x already; it cannot be both")
        for name, kind in kinds.items():
            if kind not in COLUMN_KINDS:
                raise ArgumentError(
                    "kinds", f"expected {', '.join(COLUMN_KINDS)} for '{name}', got '{kind}'"
                )
        if not len(frame):
            raise ArgumentError("path", f"'{self.path}' has no rows")

    def _part(self, series: Any, told: str | None) -> tuple[Part, Tensor]:
        column, values = self._column(series, told)
        missing = int(values.isnan().sum())
        if missing:
            raise ArgumentError(
                "x",
                f"column '{column.name}' of '{self.path}' misses {missing} of {len(values)}; "
                "a condition has to be complete: remove these rows, or fill them in",
            )
        if column.values:
            return Category((len(column.values),), column.name, names=column.values), values.long()
        return Numbers((1,), column.name), values.unsqueeze(1)

    def _column(self, series: Any, told: str | None) -> tuple[Column, Tensor]:
        """Return a column, and its values as numbers, (N,), NaN where they are missing."""
        name = series.name
        if series.null_count() == len(series):
            raise ArgumentError("y", f"column '{name}' of '{self.path}' has no values")
        kind: Any = told or _guessed(series)
        if kind == "category" or (kind == "binary" and series.dtype.is_(_words())):
            words = series.cast(_words())
            known = sorted(word for word in words.unique() if word is not None)
            if len(known) > _MANY or (kind == "binary" and len(known) != 2):
                expected = "2" if kind == "binary" else f"at most {_MANY}"
                raise ArgumentError(
                    "kinds",
                    f"column '{name}' of '{self.path}' has {len(known)} different values, "
                    f"expected {expected}",
                )
            place = {word: index for index, word in enumerate(known)}
            places = [np.nan if word is None else place[word] for word in words]
            return Column(name, kind, tuple(known)), torch.tensor(places).double()
        try:
            numbers = np.array(series.cast(float).to_numpy(), np.float64)
        except Exception as error:  # of the reader's own kinds
            raise ArgumentError(
                "kinds", f"column '{name}' of '{self.path}' holds no numbers, which {kind} needs"
            ) from error
        self._require_of_kind(name, kind, numbers)
        values = ("false", "true") if series.dtype == load_polars().Boolean else ()
        return Column(name, kind, values), torch.from_numpy(numbers)

    def _require_of_kind(self, name: str, kind: Kind, numbers: np.ndarray) -> None:
        known = numbers[~np.isnan(numbers)]
        at = f"column '{name}' of '{self.path}'"
        if not np.isfinite(known).all():
            raise ArgumentError("y", f"{at} holds infinite numbers; remove them")
        if kind == "binary" and not np.isin(known, (0, 1)).all():
            raise ArgumentError("kinds", f"{at} is not of 0 and 1 alone, which binary needs")
        if kind == "count" and ((known < 0) | (known != np.floor(known))).any():
            raise ArgumentError("kinds", f"{at} is not of whole numbers from 0, which count needs")


def _guessed(series: Any) -> Kind:
    """Return what a column is by its type and its values."""
    if series.dtype == load_polars().Boolean:
        return "binary"
    if not series.dtype.is_numeric():
        return "category"
    known = series.drop_nulls()
    if len(known) and set(known.unique().to_list()) <= {0, 1}:
        return "binary"
    if series.dtype.is_integer() and known.min() >= 0 and known.max() <= _LARGEST_COUNT:
        return "count"
    return "real"


def load_polars() -> Any:
    """Return the package that reads and writes tables; it is an extra, and takes time to import.

    Raises:
        InputError: If it is not installed.
    """
    try:
        import polars
    except ImportError as error:
        raise InputError(
            "tables need polars; pip install 'lightning-cvae[tables]', or polars"
        ) from error
    return polars


def _words() -> Any:
    return load_polars().String


def _read(path: Path) -> Any:
    if not path.is_file():
        raise ArgumentError("path", f"'{path}' is not a file; expected a .csv or .parquet")
    polars = load_polars()
    readers = {".csv": polars.read_csv, ".parquet": polars.read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ArgumentError(
            "path", f"expected a name ending in .csv or .parquet, got '{path}'{way_to_read(path)}"
        )
    try:
        if path.suffix.lower() == ".csv":
            return reader(path, null_values=_MISSING, infer_schema_length=None)
        return reader(path)
    except Exception as error:  # of the reader's own kinds
        reason = str(error).partition("\n")[0]
        raise ArgumentError("path", f"'{path}' cannot be read as a table ({reason})") from error
