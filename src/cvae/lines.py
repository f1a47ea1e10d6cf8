"""Lines that a terminal of 80 columns shows unbroken."""

from textwrap import fill

_WIDTH = 79


def wrapped(text: str) -> str:
    """Return a text in lines of 79 columns at most; a path stays whole."""
    return fill(
        text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
