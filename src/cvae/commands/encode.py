"""`cvae-encode`: the posterior of z for each item of the data, in a file.

Rows come in the order of the data's file, whatever their splits, so that they fit its columns.
"""

from collections.abc import Sequence
from functools import partial

from cvae.config.compose import Config, changes
from cvae.data.base import PairData, SplitName
from cvae.errors import InputError
from cvae.evaluation.draws_file import FORMATS
from cvae.evaluation.posterior_file import Encoded, contents, encode
from cvae.files import output_file, write_whole
from cvae.store.checkpoint import Stored, read
from cvae.store.resume_arguments import require_same_data, was_trained_on


def task(config: Config) -> None:
    """Run `cvae-encode`."""
    out = output_file(config["out"], FORMATS)
    stored = read(config["checkpoint"])
    model = stored.model(config["allow"])
    data, splits = _wanted(config, stored)
    found: dict[str, Encoded] = {
        split: encode(model, data, *data.numbered(split)) for split in splits
    }
    write_whole(out, contents(out.suffix.lower(), found))
    print(f"{out}: {sum(len(part.item) for part in found.values())} items")


def _wanted(config: Config, stored: Stored) -> tuple[PairData, Sequence[SplitName]]:
    """Return the data that a configuration asks for, set up, and the splits that are meant.

    Raises:
        InputError: If they are not those of the run, or of another kind.
    """
    options = dict(changes(config["data"]))
    split = options.pop("split", "test")
    if split not in ("test", "all"):
        raise InputError(f"data.split: expected test or all, got '{split}'")
    build = partial(stored.datamodule, config["allow"], **options)
    if split == "all" and not was_trained_on(stored, build):
        data = build(split="all")
        stored.sizes.require_alike(data.sizes)
        data.setup("test")
        return data, ("test",)
    data = build()
    data.prepare_data()
    data.setup()
    require_same_data(stored, data.checksum)
    return data, ("train", "val", "test") if split == "all" else ("test",)
