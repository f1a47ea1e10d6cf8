"""The documentation as a site, of the READMEs, docstrings and notebooks there are: `make docs`."""

import os
import re
from importlib.metadata import version as version_of

from sphinx.application import Sphinx

project, author = "cvae", "The cvae developers"
copyright = author
version = release = version_of("lightning-cvae")
root_doc = ".github/docs/index"
include_patterns = [
    *("README.md", "conf/README.md", "src/cvae/*/README.md", "experiments/README.md"),
    *("experiments/benchmarks/README.md", "experiments/notebooks/*.py", ".github/*.md"),
    ".github/docs/*.md",
]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
html_theme = "furo"
html_title = f"cvae {version}"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_timeout = 600
nb_execution_raise_on_error = True

default_role = "code"
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "show-inheritance": True}
suppress_warnings = ["myst.xref_missing", "image.not_readable", "ref.python"]

os.environ.setdefault("OMP_NUM_THREADS", "1")


def setup(app: Sphinx) -> None:
    """Have docstrings, which are plain text with code in backticks, read as such."""

    def escaped(
        app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
    ) -> None:
        if what in ("data", "attribute"):
            lines.insert(0, "")  # else what comes before a colon is taken for a type
        for place, line in enumerate(lines):
            parts = re.split("(`[^`]*`)", line)
            lines[place] = "".join(
                p if p[:1] == "`" else re.sub(r"(?<!\\)([*|_])(?=\w)", r"\\\1", p) for p in parts
            )

    app.connect("autodoc-process-docstring", escaped, priority=400)  # before napoleon
