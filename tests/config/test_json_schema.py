"""The schema for editors, judged by jsonschema on every file that there is, and on wrong ones."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from omegaconf import OmegaConf

from conftest import GROUPS, options
from cvae.commands import main as cli
from cvae.config.compose import find
from cvae.config.json_schema import text


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json.loads(text())


def found_in(schema: dict[str, Any], contents: object) -> list[str]:
    return [error.message for error in Draft7Validator(schema).iter_errors(contents)]


def test_every_file_is_of_the_schema(schema: dict[str, Any]) -> None:
    Draft7Validator.check_schema(schema)
    files = [find("conf") / "train.yaml"]
    files += [find("conf") / group / f"{name}.yaml" for group in GROUPS for name in options(group)]
    for file in files:
        contents = OmegaConf.to_container(OmegaConf.load(file))
        assert found_in(schema, contents) == [], file
        if file.parent.name in schema["definitions"] and "_target_" in contents:
            node = {"$ref": f"#/definitions/{file.parent.name}"}
            assert found_in(schema | {"anyOf": [node]}, contents) == [], file


@pytest.mark.parametrize(
    "contents",
    [
        {"latnt_dim": 3},
        {"latent_dim": "three"},
        {"prior": {"componets": 3}},
        {"network": {"width": 1.5}},
        {"data": {"binarize": "sometimes"}},
        {"callbacks": {"best": {"monitr": "val/elbo"}}},
        {"_target_": "cvae.model.priors.mixture.MixturePrior", "covarianc": "full"},
    ],
)
def test_what_is_wrong_is_found(schema: dict[str, Any], contents: Any) -> None:
    assert found_in(schema, contents)


def described(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    for key, part in node.get("properties", {}).items():
        yield f"{path}{key}", part.get("description", "")
    for part in node.get("anyOf", []):
        yield from described(part, path)


def test_settings_say_what_they_mean(schema: dict[str, Any]) -> None:
    nodes = {group: node for group, node in schema["definitions"].items() if group in GROUPS}
    said = {group: dict(described(node)) for group, node in nodes.items()}
    assert "pairs" in said["prior"]["components"]  # of a comment, for one option
    assert "Gaussians" in said["prior"]["components"]  # and for another
    assert "data" in said["data"]["val_fraction"] or "set" in said["data"]["val_fraction"]
    assert said["data"]["test_images"] == "images to test on, likewise"
    assert "Trainer" not in said["trainer"]["max_epochs"] != ""  # of Lightning's own
    assert dict(described(schema["definitions"]["root"]))["latent_dim"].startswith(
        "dimensions of z"
    )


def test_the_command_writes_it(call, schema: dict[str, Any]) -> None:
    status, out, _ = call(cli.train, "--schema")
    assert (status, json.loads(out)) == (0, schema)
    assert not list(Path.cwd().iterdir())
