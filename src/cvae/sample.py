"""`cvae-sample`: draw from a trained model and look into its latent space."""

from functools import partial

import torch

from cvae.checkpoint import datamodule, load
from cvae.cli import output_file
from cvae.cli import sample as main
from cvae.conditions import Wanted
from cvae.config import Config, changes
from cvae.errors import InputError, did_you_mean, require_at_least, require_seed
from cvae.files import write_whole
from cvae.measures import examples
from cvae.pictures import PLOTS, Panel, grid
from cvae.plots import image_grid, png


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
    model = load(config["checkpoint"], config["allow"])
    digits = config["digits"]
    wanted: Wanted = None if digits is None else model.condition.classes(digits)
    if wanted is None and model.condition.needs_examples:
        data = changes(config["data"])
        wanted = examples(datamodule(config["checkpoint"], config["allow"], **data))
        wanted = wanted if config["plot"] in ("grid", "interpolation") else wanted[:1]
    generator = torch.Generator().manual_seed(config["seed"])
    return draw(model, wanted, config["n"], generator)


def run(config: Config) -> None:
    """Run `cvae-sample`."""
    panel = sample(config)
    out = output_file(config["out"], ".png")
    write_whole(out, png(image_grid(*panel)))
    print(out)


if __name__ == "__main__":
    main()
