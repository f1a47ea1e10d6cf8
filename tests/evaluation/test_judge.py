"""The judge knows real digits, is trained once, and each training set has a different one."""

import errno
import json
from pathlib import Path

import pytest
import torch

from cvae.conditions import LabelCondition
from cvae.data.digits import Digits
from cvae.errors import InputError
from cvae.evaluation import judge as judging
from cvae.evaluation.judge import Judge, judge_of


@pytest.fixture
def _no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a judge that is kept is not trained again")

    monkeypatch.setattr(judging, "_trained", refuse)


def digits(**options) -> Digits:
    return Digits(LabelCondition, batch_size=128, **options)


def test_it_knows_real_digits_and_is_trained_once(
    judges: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    judge, folder = judge_of(digits(), judges, "cpu")
    assert torch.equal(torch.get_rng_state(), before)  # an evaluation does not depend on the cache
    with monkeypatch.context() as patch:
        patch.setattr(judging, "_trained", None)
        again, same = judge_of(digits(), judges, "cpu")
    assert folder == same
    data = digits()
    data.setup("test")
    images, labels = data.test_set.items.y.float() / 16, data.test_set.items.labels
    right = (judge.classes(images) == labels).float().mean().item()
    assert right > 0.97
    drawn = images.bernoulli(generator=torch.Generator().manual_seed(0))
    assert (judge.classes(drawn) == labels).float().mean().item() > 0.85  # 0.6 if never shown any
    assert torch.equal(judge.classes(images), again.classes(images))
    assert json.loads((folder / "metrics.json").read_text()) == {
        "test/accuracy": pytest.approx(right)
    }
    assert judge.features(images).shape == (360, judge.features.num_features)


@pytest.mark.usefixtures("_no_training")
def test_other_images_have_a_judge_of_their_own(judges: Path) -> None:
    with pytest.raises(AssertionError, match="not trained again"):
        judge_of(digits(split_seed=1), judges, "cpu")


def test_a_training_cut_short_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(judging, "_STEPS", 2)
    monkeypatch.setattr(judging.torch, "save", cut)
    with pytest.raises(KeyboardInterrupt):
        judge_of(digits(), tmp_path, "cpu")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_what_a_killed_process_has_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "_trained", lambda *_: {"test/accuracy": 0.5})
    (tmp_path / ".making-x").mkdir()
    _, folder = judge_of(digits(), tmp_path, "cpu")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", folder.name]


@pytest.mark.parametrize("failing", ["mkdir", "write_bytes", "rename"])
def test_a_judge_that_cannot_be_kept_judges_all_the_same(
    failing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(judging, "_trained", lambda *_: {"test/accuracy": 0.5})
    with monkeypatch.context() as patch:
        patch.setattr(Path, failing, full)
        judge, _ = judge_of(digits(), tmp_path / "judges", "cpu")
    err = capsys.readouterr().err
    assert not judge.training
    assert err.startswith("judge: not kept in\n  ")
    assert "No space left on device" in err
    assert "judges=DIR" in err
    assert {path.name for path in tmp_path.glob("judges/*")} <= {".lock"}


@pytest.mark.parametrize("left", [b"", b"not weights", b"nan", None])
def test_a_damaged_judge_is_reported(left: bytes | None, judges: Path, tmp_path: Path) -> None:
    _, folder = judge_of(digits(), judges, "cpu")
    (tmp_path / folder.name).mkdir()
    if left == b"nan":
        weights = torch.load(folder / "judge.pt", weights_only=True)
        weights["classify.bias"].fill_(torch.nan)
        torch.save(weights, tmp_path / folder.name / "judge.pt")
    elif left is not None:
        (tmp_path / folder.name / "judge.pt").write_bytes(left)
    with pytest.raises(InputError, match="damaged; delete it to have the judge trained again"):
        judge_of(digits(), tmp_path, "cpu")


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (1, 28, 28)])
def test_it_takes_images_of_any_size(shape: tuple[int, int, int]) -> None:
    judge = Judge(shape, 4).eval()
    assert judge(torch.rand(2, *shape)).shape == (2, 4)
    assert judge.classes(torch.rand(2, *shape)).shape == (2,)
