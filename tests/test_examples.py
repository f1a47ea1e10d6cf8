"""Each public function is used where a reader sees it: in a doctest, a README or a notebook.

Public is what the reference documents: `.github/docs/api.md` and `building_blocks.md`.
"""

import ast
import doctest
import re
from functools import cached_property
from importlib import import_module
from pkgutil import resolve_name
from types import FunctionType
from typing import Any

import pytest
import torch
from lightning import LightningDataModule, LightningModule

import cvae
from cvae.config.compose import find
from cvae.data import PairData

DOCUMENTED = re.findall(
    r"^\.\. auto(\w+):: (\S+)\n((?:   :.*\n)*)",
    "".join(
        (find(".github") / "docs" / f"{page}.md").read_text() for page in ("api", "building_blocks")
    ),
    re.MULTILINE,
)
THEIRS = {n for cls in (LightningDataModule, LightningModule, torch.nn.Module) for n in dir(cls)}
"""What Lightning and torch document."""
READMES = ("README.md", "src/cvae/api/README.md", "src/cvae/model/README.md")
"""Whose Python other tests run."""


def named(option: str, options: str) -> list[str]:
    found = re.search(rf":{option}: (.+)", options)
    return found[1].split(", ") if found else []


def members(module: str, options: str) -> list[Any]:
    """What the reference shows of a module, as autodoc chooses it."""
    found = vars(import_module(module))
    names = named("members", options) or found.get("__all__")
    if names is None:
        names = [name for name, one in found.items() if getattr(one, "__module__", 0) == module]
    return [found[name] for name in names if name[0] != "_"]


PUBLIC = [
    one
    for kind, name, options in DOCUMENTED
    for one in (members(name, options) if kind == "module" else [resolve_name(name)])
    if isinstance(one, FunctionType | type)
]
UNLISTED = {name for *_, options in DOCUMENTED for name in named("exclude-members", options)}
CLASSES = [cls for cls in PUBLIC if isinstance(cls, type)]
ASKED = [cvae.CVAE, cvae.Run, *(cls for cls in CLASSES if issubclass(cls, PairData))]
"""Classes whose methods are looked for as well."""


def with_doctests() -> dict[str, list[doctest.DocTest]]:
    """The doctests of all modules that hold something public, by module."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = sorted({one.__module__ for one in PUBLIC})
    found = {name: finder.find(import_module(name), name) for name in modules}
    return {name: tests for name, tests in found.items() if any(test.examples for test in tests)}


DOCTESTS = with_doctests()


@pytest.mark.parametrize("module", DOCTESTS)
def test_what_a_docstring_shows_is_true(module: str) -> None:
    for test in DOCTESTS[module]:
        said: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
        assert not said, "".join(said)


def used() -> tuple[set[str], set[str]]:
    """What doctests, notebooks and the READMEs' Python call, and what they ask for by a dot."""
    code = [one.source for tests in DOCTESTS.values() for test in tests for one in test.examples]
    for place in sorted((find("experiments") / "notebooks").glob("*.py")):
        code.append(place.read_text())
    for place in READMES:
        text = (find("README.md").parent / place).read_text()
        code += re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    nodes = [node for part in code for node in ast.walk(ast.parse(part))]
    called = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
    dotted = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return {name.rpartition(".")[2] for name in called}, dotted


def test_each_public_function_is_used_where_a_reader_sees_it() -> None:
    functions = {one.__name__ for one in PUBLIC if isinstance(one, FunctionType)}
    methods, properties = {"load_from_checkpoint"}, set[str]()
    for cls in ASKED:
        for name, one in vars(cls).items():
            if name[0] == "_" or name in THEIRS | UNLISTED:
                continue
            if isinstance(one, FunctionType | classmethod):
                methods.add(name)
            elif isinstance(one, property | cached_property):
                properties.add(name)
    assert (len(functions), len(methods), len(properties)) > (25, 15, 10)
    called, dotted = used()
    assert functions | methods <= called
    assert properties <= dotted
