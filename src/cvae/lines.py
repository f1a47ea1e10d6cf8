"""Lines that a terminal of 80 columns shows unbroken."""

import sys
from textwrap import fill

WIDTH = 79
"""Columns that are used; a terminal may break a line of 80."""


def wrapped(text: str) -> str:
    """Return a text in lines of 79 columns at most; a path stays whole."""
    return fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def tell(text: str) -> None:
    """Say something on standard error, in such lines."""
    print(wrapped(text), file=sys.stderr)
