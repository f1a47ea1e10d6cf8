"""A small checkpoint of a stranger takes neither memory nor time that its file does not have."""

import os
import resource
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

import cvae
from conftest import altered
from cvae.conditions import GivenCondition
from cvae.data.arrays import Arrays
from cvae.data.folder import Folder
from cvae.errors import InputError
from cvae.store.checkpoint import KEY
from cvae.store.events import curve

SECONDS, KILOBYTES = 5, 2**18
Contents = dict[str, Any]


def settings(**changes: Any) -> Callable[[Contents], None]:
    """Change settings, by their dotted names with two underlines for the dot."""

    def change(contents: Contents) -> None:
        for name, value in changes.items():
            *groups, last = name.split("__")
            node = contents[KEY]["config"]
            for group in groups:
                node = node[group]
            node[last] = value

    return change


def shared(contents: Contents) -> None:
    node: Any = ["x"]
    for _ in range(40):
        node = [node, node]
    contents[KEY]["config"]["prior"]["x"] = node


def in_the_state_of_an_optimizer(contents: Contents) -> None:
    node: Any = {}
    for _ in range(40):
        node = {0: node, 1: node}
    contents["optimizer_states"] = [node]


def itself(contents: Contents) -> None:
    contents[KEY]["config"]["data"] = contents[KEY]["config"]


def without_strides(contents: Contents) -> None:
    weights = contents["state_dict"]
    weights["posterior.network.layers.0.weight"] = torch.zeros(1, 1).expand(10**7, 99)


def one_storage(contents: Contents) -> None:
    numbers = torch.zeros(10**6)
    contents["state_dict"] |= {f"x{number}": numbers for number in range(300)}


def sparse(contents: Contents) -> None:
    tensor = torch.sparse_coo_tensor(torch.zeros(2, 1, dtype=torch.long), [1.0], (10**9, 10**9))
    contents["state_dict"]["x"] = tensor


FLOW = {
    "_target_": "cvae.model.priors.flow.FlowPrior",
    "_partial_": True,
    "network": {"_target_": "cvae.model.networks.MLP", "_partial_": True},
}
CONV = {"_target_": "cvae.model.networks.Conv", "_partial_": True}
BOMBS: dict[str, Callable[[Contents], Any]] = {
    "hierarchy": settings(hierarchy=10**6),
    "a hierarchy of nothing": settings(hierarchy=10**6, latent_dim=0),
    "depth": settings(network__depth=10**7),
    "a narrow depth": settings(network__depth=10**4, network__width=1),
    "a depth of convolutions": settings(network={**CONV, "depth": 10**6}),
    "steps": settings(prior={**FLOW, "steps": 10**8}),
    "fewer steps": settings(prior={**FLOW, "steps": 9000}),
    "width": settings(network__width=10**9),
    "a whole number": settings(seed=10**5000),
    "a text": settings(prior___target_="x" * 10**6),
    "pixels": lambda c: c[KEY]["y"].update(shape=[1, 10**6, 10**6]),
    "pixels, as they were written once": lambda c: c[KEY].update(image_shape=[1, 10**6, 10**6]),
    "numbers": lambda c: c[KEY].update(y={"kind": "Vector", "shape": [10**12]}),
    "categories": lambda c: c[KEY].update(
        y={"kind": "LabelMap", "shape": [8, 8], "categories": 10**10}
    ),
    "a given condition": lambda c: c[KEY].update(given=[{"kind": "Numbers", "shape": [10**12]}]),
    "classes": lambda c: c[KEY].update(num_classes=10**10),
    "shared lists": shared,
    "shared lists elsewhere": in_the_state_of_an_optimizer,
    "itself": itself,
    "strides of 0": without_strides,
    "one storage": one_storage,
    "sparse": sparse,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_checkpoint_stands_for_no_more_than_its_file_holds(name: str, run_dir: Path) -> None:
    altered(run_dir, BOMBS[name])
    require_refused("altered.ckpt")


def test_a_compressed_checkpoint_is_refused(run_dir: Path) -> None:
    altered(run_dir, lambda contents: contents.update(x=torch.zeros(10**7)))
    with zipfile.ZipFile("altered.ckpt") as read, zipfile.ZipFile("x.ckpt", "w", 8) as written:
        for part in read.namelist():
            written.writestr(part, read.read(part))
    assert Path("x.ckpt").stat().st_size < Path("altered.ckpt").stat().st_size / 10
    require_refused("x.ckpt")


@pytest.mark.parametrize(("length", "data"), [(2**62, b"x"), (2**64 - 1, b"x"), (9, b"\xff" * 9)])
def test_an_event_file_that_is_no_such_is_reported(length: int, data: bytes) -> None:
    head = struct.pack("<Q", length)
    sums = [struct.pack("<I", masked_crc32c(part)) for part in (head, data)]
    Path("events.out.tfevents.1.x.1.0").write_bytes(head + sums[0] + data + sums[1])
    with pytest.raises(InputError, match="holds an event file that is damaged"):
        curve(Path(), "val/elbo")


@pytest.mark.parametrize(
    ("build", "name", "options"),
    [(Arrays, "own.npz", {"path": "own.npz"}), (Folder, "own/a/1.png", {"root": "own"})],
)
def test_a_pipe_among_the_data_is_not_waited_for(
    build: Callable[..., Any], name: str, options: dict[str, str]
) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(name)
    with pytest.raises(InputError, match=f"'{name}' is not a file"):
        build(GivenCondition, **options)


def require_refused(path: str) -> None:
    memory, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(InputError) as caught:
        cvae.load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert time.monotonic() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < memory + KILOBYTES
