"""`cvae-sample`: draw from a trained model and look into its latent space."""

from functools import partial
from pathlib import Path

import torch

from cvae.conditions import Wanted
from cvae.config.compose import Config, changes
from cvae.errors import InputError, did_you_mean, require_at_least, require_between, require_seed
from cvae.evaluation.draws_file import FORMATS, contents
from cvae.evaluation.figures import PICTURES, drawn_as
from cvae.evaluation.image_metrics import examples
from cvae.evaluation.panels import PLOTS, UNCONDITIONAL_COLUMNS, draw, reconstructions
from cvae.evaluation.pictures import Pictures, pictures_of
from cvae.files import output_file, write_whole
from cvae.lines import tell
from cvae.model.cvae import CVAE
from cvae.store.checkpoint import Stored, read

_GRID = "grid"
_RECONSTRUCTION = "reconstruction"
_PLOTS = (_GRID, _RECONSTRUCTION, *PLOTS)


def task(config: Config) -> None:
    """Run `cvae-sample`."""
    _require_sound(config)
    stored = read(config["checkpoint"])
    model = stored.model(config["allow"])
    out = output_file(config["out"], (*PICTURES, *FORMATS))
    rng = torch.Generator().manual_seed(config["seed"])
    write_whole(out, _contents(config, stored, model, out, rng))
    print(out)


def _require_sound(config: Config) -> None:
    require_at_least("n", config["n"], 1)
    require_seed("seed", config["seed"])
    require_between("scale", config["scale"], 0.1, 20)
    plot = config["plot"]
    if plot not in _PLOTS:
        raise InputError(f"plot: no plot is called '{plot}'{did_you_mean(plot, _PLOTS)}")
    if plot != _GRID and config["mean"] is False:
        raise InputError("mean: only plot=grid draws y itself; leave mean=false out")
    if plot == _RECONSTRUCTION and config["x"] is not None:
        raise InputError("x: plot=reconstruction takes pairs of the test split; leave x out")


def _contents(
    config: Config, stored: Stored, model: CVAE, out: Path, rng: torch.Generator
) -> bytes:
    """Return what the file is to hold.

    Raises:
        InputError: If x or the kind of plot cannot be used.
    """
    n, plot, pictures = config["n"], config["plot"], pictures_of(stored.sizes)
    picture = partial(drawn_as, out.suffix, scale=config["scale"])
    if plot == _RECONSTRUCTION and out.suffix in PICTURES:
        data = stored.datamodule(config["allow"], **changes(config["data"]))
        if pictures.conditions <= UNCONDITIONAL_COLUMNS:  # else they are points, as many as usual
            pictures.require_drawable(3, n)
            pictures.conditions = n
        batch = examples(data, pictures.conditions)
        return picture(pictures.reconstructions(reconstructions(model, batch)))
    wanted = wanted_of(config, stored, model, pictures)
    if config["x"] is not None and (far := model.condition.far(model.conditions_of(wanted))):
        tell(far)
    if out.suffix in FORMATS:
        if plot != _GRID:
            raise InputError(f"out: plot={plot} is a picture; expected a name ending in .png")
        x = model.conditions_of(wanted)
        y = model.sample(x, n, rng, config["mean"] is True)
        return contents(out.suffix, model.condition, x, y)
    pictures.require_drawable(*_size(plot, n, model, wanted))
    if plot == _GRID:
        mean = pictures.mean if config["mean"] is None else config["mean"]
        return picture(pictures.samples(draw(model, wanted, n, rng, mean)))
    return picture(pictures.cells(PLOTS[plot](model, wanted, n, rng)))


def wanted_of(config: Config, stored: Stored, model: CVAE, pictures: Pictures) -> Wanted:
    """Return the conditions that a configuration asks for; None for every class once."""
    if config["x"] is not None:
        return model.condition.read(config["x"])
    if not model.condition.needs_examples:
        return None
    data = stored.datamodule(config["allow"], **changes(config["data"]))
    x = examples(data, min(pictures.conditions, UNCONDITIONAL_COLUMNS)).x
    return x if config["plot"] in (_GRID, "interpolation") else x[:1]


def _size(plot: str, n: int, model: CVAE, wanted: Wanted) -> tuple[int, int]:
    """Return how many rows and columns of cells the picture has."""
    conditions = len(model.conditions_of(wanted))
    if plot == _GRID:
        return n, max(conditions, UNCONDITIONAL_COLUMNS)
    rows = {"interpolation": conditions, "traversal": model.generator.latent_dim, "manifold": n}
    return rows[plot], n
