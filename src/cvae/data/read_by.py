"""How a file is read that came to the wrong kind of data."""

from pathlib import Path

_AS_CSV = (".tsv", ".txt", ".dat", ".xls", ".xlsx", ".ods", ".json", ".jsonl", ".feather")
_IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".svg", ".pdf")


def way_to_read(path: Path) -> str:
    """Return which `data=` reads a file, or how to write one that is read, as an error ends.

    Args:
        path: A file or a folder, told by its name alone.
    """
    kind = path.suffix.lower()
    if kind in (".csv", ".parquet"):
        return f"; data=table reads it, with 'data.x=[COLUMNS]' 'data.y=[COLUMNS]' of a {kind}"
    if kind in _AS_CSV:
        return "; write it as a .csv, which data=table reads"
    if kind == ".npz":
        return "; data=vectors reads it, or the word for another kind of y (--help data)"
    if kind in _IMAGES or path.is_dir():
        return "; data=folder data.root=DIR reads images, in a folder for each class"
    return "; write a .npz with numpy.savez(FILE, x=..., y=...)"
