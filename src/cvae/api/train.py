"""Training from Python: the configuration of `cvae-train`, by keyword."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from cvae.api.given_data import options_of
from cvae.api.run import Run
from cvae.api.settings import composed, overrides_of, plain_errors
from cvae.files import hold_for_run, let_go, write_whole
from cvae.store.run_folder import RunFolder
from cvae.training.fit import fit
from cvae.training.prepare import prepare
from cvae.training.quiet import without_lightning_s_talk


def train(
    data: Any = "digits",
    *,
    x: Sequence[str] = (),
    y: Sequence[str] = (),
    kind: str | None = None,
    folder: str | Path | None = None,
    progress: bool = False,
    **settings: Any,
) -> Run:
    """Train a model, and return its run: a folder like those of `cvae-train`.

    Args:
        data: The name of an option of `data`, such as "mnist"; a file or a folder of your own; or
            data in memory: a pair of arrays or tensors (x, y), or y alone; a data frame; a torch
            `Dataset` of pairs (x, y); a `LightningDataModule` whose batches are such pairs. x may
            be a mapping of several arrays by name. Data in memory are written to the run's folder,
            where every command finds them.
        x: Columns of a data frame, or of a table's file, that are x.
        y: Those that are y.
        kind: What y is, as an option of `data`, such as "vectors" or "sequences", where its values
            leave a doubt.
        folder: The run's folder; None is a new one in `outputs`, named after the time.
        progress: Whether to show a progress bar.
        **settings: Options of groups, and settings, by the names that `cvae-train` has for them:
            `prior="vamp"`, `latent_dim=8`. A setting that lies deeper is known by its last word
            where only one place has it, `max_epochs=20`, and by its whole name in any case,
            `**{"prior.components": 50}`. A class of your own takes the place of an option:
            `network=MyNetwork`.

    Raises:
        InputError: If a setting or the data cannot be used; nothing is left in the folder.
        FloatingPointError: If the training diverges.
    """
    chosen = overrides_of(settings)
    place = Path(folder).expanduser().absolute() if folder else _new_folder()
    files = RunFolder(place)
    files.require_own()
    made = [at for at in (place, *place.parents) if not at.exists()]
    hold_for_run(place, resuming=False)
    try:
        with without_lightning_s_talk(), plain_errors():
            try:
                overrides = [*options_of(data, x, y, kind, place), *chosen]
                config = composed("train", overrides)
                prepared = prepare(config)
            except BaseException:
                if made:
                    shutil.rmtree(place)
                with suppress(OSError):  # another run has begun in one of them
                    for folder_of_it in made[1:]:
                        folder_of_it.rmdir()
                raise
            files.overrides.parent.mkdir(exist_ok=True)
            write_whole(files.overrides, yaml.safe_dump(overrides))
            fit(prepared, place, show_progress=progress)
    finally:
        let_go(place)
    return Run(place, allow=config["allow"])


def _new_folder() -> Path:
    now = datetime.now()
    return Path("outputs").absolute() / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S-%f}"
