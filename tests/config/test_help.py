"""Help, the version and completion: out of the comments of conf/, at 80 columns, at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import cvae
from conftest import GROUPS, composed, options
from cvae.config.completion import completion
from cvae.config.compose import find
from cvae.config.help import help_text
from cvae.config.options import option, root
from cvae.errors import InputError

COMMANDS = ("train", "sample", "evaluate", "report", "export")
COVER = {"experiment", "sweeps", "launcher"}
"""Groups whose options set what belongs to others."""


def read(group: str, name: str) -> dict:
    """An option as a YAML reader has it, with what it takes from its neighbours."""
    found = yaml.safe_load((find("conf") / group / f"{name}.yaml").read_text())
    for base in found.pop("defaults", []):
        if isinstance(base, str):
            found = read(group, base) | found
    return found.get(group, found)


def leaves(node: dict, path: str) -> dict:
    found = {}
    for key, value in node.items():
        if isinstance(value, dict) and value:
            found |= leaves(value, f"{path}.{key}")
        elif not key.startswith("_") and value != "${network}":
            found[f"{path}.{key}"] = value
    return found


@pytest.mark.parametrize("group", sorted(set(GROUPS) - COVER))
def test_the_lines_say_what_a_yaml_reader_reads_and_every_setting_has_a_meaning(group: str) -> None:
    for name in options(group):
        said = option(group, name)
        assert said.about, name
        read_by_yaml = leaves(read(group, name), group)
        assert {key: yaml.safe_load(s.default) for key, s in said.settings.items()} == read_by_yaml
        assert [key for key, setting in said.settings.items() if not setting.meaning] == []


def test_help_fits_a_screen_and_is_a_line_of_eighty_columns_at_most() -> None:
    assert len(help_text("train", []).splitlines()) <= 24
    topics = [[], ["settings"], ["lr"], *([g] for g in GROUPS)]
    topics += [[f"{g}={name}"] for g in GROUPS for name in options(g)]
    pages = [help_text("train", topic) for topic in topics]
    pages += [help_text(command, []) for command in COMMANDS]
    for line in "\n".join(pages).splitlines():
        assert len(line) <= 80, line
    assert not any("_target_" in page or "${" in page for page in pages)


def test_help_lists_the_options_of_a_group_and_their_settings() -> None:
    page = help_text("train", ["prior"])
    for name in options("prior"):
        assert f"\n  {name} " in page
    for words in ("(default)", "prior.steps=3", "transforms (flow)", "prior.components=500"):
        assert words in page
    assert "prior.steps=3" in help_text("train", ["prior=flow"])
    assert "condition=given, likelihood=gaussian" in help_text("train", ["data=vectors"])
    assert "trainer.max_epochs=200" in help_text("train", ["epochs"])
    with pytest.raises(InputError, match=r"no such option; did you mean 'flow'\?"):
        help_text("train", ["prior=flo"])
    with pytest.raises(InputError, match="no such group or setting"):
        help_text("train", ["nonsense"])


def test_the_settings_of_a_command_are_those_that_it_composes() -> None:
    config = json.loads(json.dumps(composed()))
    for key, setting in root("train").settings.items():
        node = config
        for part in key.split("."):
            node = node[part]
        assert yaml.safe_load(setting.default) == node, key


def offered(line: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COMP_LINE", line)
    return completion(line.split()[0].removeprefix("cvae-"), "query=bash").split()


def test_completion_offers_groups_options_and_settings_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert offered("cvae-train prior=", monkeypatch) == [f"prior={n}" for n in options("prior")]
    assert offered("cvae-train seed=1 lat", monkeypatch) == ["latent_dim="]
    assert "trainer.max_epochs=" in offered("cvae-train trainer.", monkeypatch)
    assert offered("cvae-sample plo", monkeypatch) == ["plot="]
    every = offered("cvae-train ", monkeypatch)
    assert {f"{group}=" for group in GROUPS} <= set(every)
    assert not any(word[0] == "_" or "hydra" in word for word in every)


def test_bash_completes_by_the_line_of_the_readme(tmp_path: Path) -> None:
    program = tmp_path / "cvae-train"
    code = f"#!{sys.executable}\nfrom cvae.commands.main import train; train()\n"
    program.write_text(code)
    program.chmod(0o755)
    script = f"""
    PATH={tmp_path}:$PATH
    eval "$(cvae-train --shell-completion install=bash)"
    COMP_LINE="cvae-train seed=1 prior=ga" COMP_POINT=26
    _cvae cvae-train ga =
    echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("gaussian\n", "")


def test_the_version_is_that_of_this_program(call) -> None:
    from cvae.commands import main as cli

    assert call(cli.sample, "--version") == (0, f"lightning-cvae {cvae.__version__}\n", "")
