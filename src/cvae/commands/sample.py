"""`cvae-sample`: draw from a trained model and look into its latent space."""

from functools import partial

import torch

from cvae.conditions import Wanted
from cvae.config.compose import Config, changes
from cvae.errors import InputError, did_you_mean, require_at_least, require_seed
from cvae.evaluation.figures import image_grid, png, require_drawable
from cvae.evaluation.image_metrics import examples
from cvae.evaluation.panels import PLOTS, UNCONDITIONAL_COLUMNS, Panel, grid
from cvae.files import output_file, write_whole
from cvae.model.cvae import CVAE
from cvae.runs.checkpoint import read


def sample(config: Config) -> Panel:
    """Return the picture that a configuration asks for.

    Raises:
        InputError: If the checkpoint, the digits or the kind of plot cannot be used.
    """
    require_at_least("n", config["n"], 1)
    if config["plot"] not in PLOTS:
        raise InputError(
            f"plot: expected one of {', '.join(PLOTS)}, got '{config['plot']}'"
            f"{did_you_mean(config['plot'], PLOTS)}"
        )
    draw = partial(grid, mean=config["mean"]) if config["plot"] == "grid" else PLOTS[config["plot"]]
    if config["plot"] != "grid" and not config["mean"]:
        raise InputError("mean: only plot=grid draws every pixel; leave mean=false out")
    require_seed("seed", config["seed"])
    stored = read(config["checkpoint"])
    model = stored.model(config["allow"])
    asked = config["x"]
    wanted: Wanted = None if asked is None else model.condition.classes(asked)
    if wanted is None and model.condition.needs_examples:
        wanted = examples(stored.datamodule(config["allow"], **changes(config["data"])))
        wanted = wanted if config["plot"] in ("grid", "interpolation") else wanted[:1]
    require_drawable(*_size(config, model, wanted), *stored.sizes.image_shape[1:])
    rng = torch.Generator().manual_seed(config["seed"])
    return draw(model, wanted, config["n"], rng)


def _size(config: Config, model: CVAE, wanted: Wanted) -> tuple[int, int]:
    """Return how many rows and columns of images the picture has."""
    n, plot = config["n"], config["plot"]
    conditions = len(model.encode(wanted))
    if plot == "grid":
        return n, max(conditions, UNCONDITIONAL_COLUMNS)
    rows = {"interpolation": conditions, "traversal": model.generator.latent_dim, "manifold": n}
    return rows[plot], n


def task(config: Config) -> None:
    """Run `cvae-sample`."""
    panel = sample(config)
    out = output_file(config["out"], ".png")
    write_whole(out, png(image_grid(*panel)))
    print(out)
