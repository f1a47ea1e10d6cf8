"""The command line: flags anywhere, paths with any character, and hints that can be pasted."""

import shlex
from pathlib import Path

import pytest
import yaml

from cvae.commands.main import _of_a_run_or_sweep, _path_first
from cvae.config.command_line import ordered, require_usable, short
from cvae.config.compose import given_value, main
from cvae.errors import InputError
from cvae.store.resume_arguments import command_to_resume
from cvae.store.run_folder import RunFolder
from cvae.sweeps.resume_arguments import command_to_resume as command_to_resume_sweep
from cvae.sweeps.resume_arguments import with_sweep_arguments

NAMES = [
    *("runs/my run (1)", "[x]", "a#b", "{a}", "o'brien", "josé/run", "runs/lr=0.5", "a,b", "a;b"),
    *("a b ", " a", "back\\", "back\\'s", '"', "'", "''", "'quoted'", "1e3", "007", "true", "null"),
    *("(", "x:y", "~", "$HOME", "%d", "-x", "!", "*", "a\\nb", "glob(*)", "choice(1)", "é" * 50),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_may_have_any_name(name: str) -> None:
    Path(name).mkdir(parents=True)
    for key in ("resume", "sweep.resume", "checkpoint", "dir", "out", "data.root", "hydra.run.dir"):
        for given in {f"{key}={name}", f"+{key}={name}"} if name != "null" else ():
            assert given_value(ordered(["seed=1", given, "-m"]), key) == name
    for hint in (short(Path(name).absolute()), short(Path(name).resolve())):
        (word,) = shlex.split(shlex.quote(f"resume={hint}"))
        found = given_value(ordered([word]), "resume")
        assert found is not None
        assert Path(found).absolute() == Path(name).absolute()


def test_a_folder_that_hydra_would_look_up_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra resolves the names of the current folder and of the run's: any `${` in them."""
    folder = Path("a${b}/run")
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match=r"'a\$\{b\}/run': Hydra takes .* rename the folder"):
        ordered([f"resume={folder}"])
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match=r"a\$\{b\}/run': Hydra takes .* rename the folder"):
        main("train", lambda config: None)


@pytest.mark.parametrize(
    "argument", ["resume=null", "resume=", "resume='a b'", 'out="a=b"', "data.root=${oc.env:HOME}"]
)
def test_a_path_of_hydra_s_grammar_stays_as_it_is(argument: str) -> None:
    assert ordered([argument]) == [argument]


def test_several_paths_are_swept_unless_they_are_one() -> None:
    assert ordered(["-m", "data.path=a.npz,b.npz"])[0] == "data.path=a.npz,b.npz"
    Path("a.npz,b.npz").touch()
    assert ordered(["-m", "data.path=a.npz,b.npz"])[0] == "data.path='a.npz,b.npz'"


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("--config-dir DIR a=1", ["--config-dir=DIR"]),
        ("b=2 -cd DIR a=1", ["--config-dir=DIR"]),
        ("-cn mine a=1 --config-path=x", ["--config-path=x", "--config-name=mine"]),
        ("a=1 --cfg job b=2 --resolve", ["--resolve", "--cfg=job"]),
        ("-c hydra -p hydra.run a=1", ["--package=hydra.run", "--cfg=hydra"]),
        ("a=1 -i", ["--info=all"]),
        ("--info searchpath a=1", ["--info=searchpath"]),
        ("-m a=1 --config-dir a=b", ["--config-dir=a=b", "--multirun"]),
        ("-h a=1", ["--help"]),
        ("", []),
    ],
)
def test_flags_may_stand_anywhere(line: str, flags: list[str]) -> None:
    arguments = ordered(line.split())
    overrides = [word for word in line.split() if word in ("a=1", "b=2")]
    assert sorted(arguments) == sorted([*overrides, *flags])
    assert arguments[len(overrides) :] == flags


def test_settings_of_swept_options_are_swept_beside_what_is_deleted() -> None:
    line = "~callbacks.progress prior=mixture,vamp prior.components=3 -m"
    expected = ["~callbacks.progress", "prior=mixture,vamp", "prior.components=choice(3)"]
    assert ordered(line.split()) == [*expected, "--multirun"]


def test_settings_of_what_a_file_sweeps_are_swept(tmp_path: Path) -> None:
    (tmp_path / "sweeps").mkdir()
    params = "hydra: {sweeper: {params: {latent_dim: '2,3', prior: 'mixture,vamp'}}}"
    (tmp_path / "sweeps" / "mine.yaml").write_text(params)
    line = ["sweeps=mine", "prior.components=3", "optimizer.lr=0.1"]
    expected = ["sweeps=mine", "prior.components=choice(3)", "optimizer.lr=0.1"]
    flag = f"--config-dir={tmp_path}"
    assert ordered([*line, flag]) == [*expected, flag]
    assert ordered(line) == line  # of no such file


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--nonsense a=1", "unrecognized arguments: --nonsense; settings are given as KEY=VALUE"),
        ("a=1 --config-dir", "--config-dir/-cd: expected one argument"),
        ("--cfg everything", "invalid choice: 'everything'"),
        ("-m --cfg job", "not allowed with argument"),
        ("--resolve", "--resolve: it goes with --cfg"),
        ("-m launcher=basic,joblib", "the jobs of a sweep share one launcher; give one value"),
        ("-m parallel=1,2", "share one parallel"),
        ("-m search=tpe,random latent_dim=2,3", "share one search"),
        ("-m hydra/launcher=basic,joblib", "share one hydra/launcher"),
        ("-m hydra.launcher.n_jobs=1,2", "share one hydra.launcher.n_jobs"),
        ("data.path=a,b", "gives several values to a single run"),
    ],
)
def test_a_command_line_that_cannot_be_used(line: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        require_usable(ordered(line.split()))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_alone_may_have_any_name_and_stand_anywhere() -> None:
    Path("lr=0.5").mkdir()
    for name, key in (("report", "dir"), ("sample", "checkpoint"), ("export", "checkpoint")):
        named = _path_first(name, key)
        for path in ("runs/lr=0.5", "lr=0.5", "runs", "my run (1)", "o'brien", "a/best.ckpt"):
            for line in (["--cfg=job", path], [path, "out=a.html"]):
                assert given_value(named(ordered(line)), key) == path
        assert given_value(named(ordered(["out=a.html", "my run (1)"])), key) == "my run (1)"
        for setting in (f"{key}=runs", "out=a.html", "nothing=x", "hydra.run.dir=a/b", f"+{key}=x"):
            assert named([setting]) == [setting]
        with pytest.raises(InputError, match=f"{key}: given twice, and once as 'runs'"):
            named(ordered(["runs", f"{key}=others"]))


# -- resuming ----------------------------------------------------------------------------------


def started(folder: str, *overrides: str, config_dir: str = "", name: str = "train") -> RunFolder:
    """The folder of a run that these overrides and this flag started, without its checkpoints."""
    sources = [{"path": config_dir, "provider": "command-line"}] if config_dir else []
    sources.append({"path": "/conf", "provider": "main"})
    hydra = {"runtime": {"config_sources": sources}, "job": {"config_name": name}}
    files = RunFolder(Path(folder).absolute())
    files.overrides.parent.mkdir(parents=True)
    files.overrides.write_text(yaml.safe_dump(list(overrides)))
    files.hydra.write_text(yaml.safe_dump({"hydra": hydra}))
    hydra["runtime"]["cwd"] = "/there"
    hydra["overrides"] = {"hydra": ["hydra.mode=MULTIRUN"], "task": list(overrides)}
    (files.path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    return files


@pytest.mark.parametrize(
    "line",
    [
        "--config-dir mine resume=r",
        "resume=r --config-dir mine",
        "trainer.max_epochs=9 --cfg job resume=r --config-dir=mine seed=0",
    ],
)
def test_a_run_resumes_beside_every_flag(line: str) -> None:
    started("r", "experiment=mine", config_dir="/there/mine")
    arguments = _of_a_run_or_sweep(ordered(line.split()))
    flags = [argument for argument in arguments if argument.startswith("-")]
    assert arguments[-len(flags) :] == flags
    assert "--config-dir=mine" in flags
    assert arguments[0] == "experiment=mine"
    assert "hydra.mode=RUN" in arguments


@pytest.mark.parametrize("way", ["resume=r", "sweep.resume=r"])
def test_the_configuration_s_files_are_chosen_by_the_call_alone(way: str) -> None:
    started("r", "experiment=mine", config_dir="/a stranger's", name="other")
    with pytest.raises(InputError, match="was started with --config-dir '/a stranger'"):
        _of_a_run_or_sweep(ordered([way]))
    with pytest.raises(InputError, match="was started with --config-name other"):
        _of_a_run_or_sweep(ordered([way, "-cd", "mine"]))
    flags = ["--config-name=other", "--config-dir=mine"]
    assert set(flags) <= set(_of_a_run_or_sweep(ordered([way, *flags])))


@pytest.mark.parametrize(
    ("added", "given", "expected"),
    [
        ("+network@prior.network=mlp", [], ["+network@prior.network=mlp"]),
        ("+experiment=mnist", [], ["+experiment=mnist"]),
        ("+trainer.limit_val_batches=1", [], ["++trainer.limit_val_batches=1"]),
        *(
            (f"+{key}=1", [f"+{key}=2"], [f"+{key}=2"])
            for key in ("network@prior.network", "trainer.limit_val_batches")
        ),
        ("~callbacks.progress", ["~callbacks.progress"], ["~callbacks.progress"]),
    ],
)
def test_what_was_added_is_added_again(added: str, given: list[str], expected: list[str]) -> None:
    started("r", added)
    arguments = _of_a_run_or_sweep(ordered(["resume=r", *given]))
    own = ("resume=", "++resume=", "hydra.")
    assert [a for a in arguments if not a.startswith(own)] == expected


def test_a_hint_that_resumes_repeats_what_has_to_be_repeated() -> None:
    overrides = ["optimizer.lr=0.1", "prior._target_=my pack.Prior", "allow=[my pack]"]
    for name in ("a b's", "runs/lr=0.5,[x]"):
        files = started(name, *overrides, config_dir="/it's mine")
        for command, way in (
            (command_to_resume(files), _of_a_run_or_sweep),
            (command_to_resume_sweep(files.path), with_sweep_arguments),
        ):
            program, *words = shlex.split(command)
            assert program == "cvae-train"
            assert len(words) == 4
            arguments = way(ordered(words))
            assert set(overrides) <= set(arguments)
            places = [given_value(arguments, f"hydra.{kind}.dir") for kind in ("run", "sweep")]
            assert str(files.path) in places
