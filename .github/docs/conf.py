"""The documentation as a site, of the READMEs, docstrings and notebooks there are: `make docs`."""

import os
import re
from functools import partial
from pathlib import Path
from typing import Any

from docutils import nodes
from math_core import LatexToMathML
from sphinx.application import Sphinx

import cvae

project, author = "cvae", "The cvae developers"
copyright = author
version = release = cvae.__version__
root_doc = "README"  # the front page, with contents.md put into it
include_patterns = [
    *("README.md", "conf/README.md", "src/cvae/*/README.md", "experiments/README.md"),
    *("experiments/benchmarks/README.md", "experiments/notebooks/*.py", ".github/*.md"),
    *(".github/docs/api.md", ".github/docs/building_blocks.md"),
]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.githubpages"]
html_theme = "furo"
html_title = f"cvae {version}"
html_math_renderer = "mathml"
html_static_path, html_css_files = ["static"], ["site.css"]
templates_path, html_additional_pages = ["templates"], {"index": "root.html"}

myst_enable_extensions = ["dollarmath", "html_image"]
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
suppress_warnings = ["ref.python"]

os.environ.setdefault("OMP_NUM_THREADS", "1")
to_mathml = LatexToMathML().convert_with_local_state


def front_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the contents of the site before the second heading of README."""
    if docname == root_doc:
        contents = (Path(app.confdir) / "contents.md").read_text()
        source[0] = source[0].replace("\n## ", f"\n{contents}\n## ", 1)


def escaped(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Have docstrings read as what they are: plain text with code in backticks, and formulas."""
    if what in ("data", "attribute"):
        lines.insert(0, "")  # else what comes before a colon is taken for a type
    formula = None  # how far one that goes on is indented
    for place, line in enumerate(lines):
        text = line.lstrip()
        indent = len(line) - len(text)
        if formula is not None and text and indent <= formula:
            formula = None
        if text.startswith(".. math::"):
            formula = indent
        if formula is not None or text.startswith((">>>", "...")):
            continue
        parts = re.split("(`[^`]*`)", line)
        lines[place] = "".join(
            p if p[:1] == "`" else re.sub(r"(?<!\\)([*|_])(?=\w)", r"\\\1", p) for p in parts
        )


def mathml(page: Any, node: nodes.Element, display: bool) -> None:
    """Write a formula as MathML, which browsers show without a script from a network."""
    formula = to_mathml(node.astext(), displaystyle=display)
    page.body.append(f'<div class="formula">{formula}</div>' if display else formula)
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("source-read", front_page)
    app.connect("autodoc-process-docstring", escaped, priority=400)  # before napoleon
    inline, block = partial(mathml, display=False), partial(mathml, display=True)
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
