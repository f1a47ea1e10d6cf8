"""Hydra finds sweepers in this namespace alone; what this one does is in `cvae.sweeps`."""

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Sweep(Sweeper):
    """Runs every combination, or what a search proposes, and resumes where it was cut off.

    Args:
        max_batch_size: The most jobs that the launcher is given at once; None is all of them.
        params: What is swept, beside what the command line says.
    """

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None) -> None:
        self.max_batch_size, self.params = max_batch_size, params or {}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra hands over, and build the launcher."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the sweep of these overrides."""
        arguments = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        from cvae.left import say_first

        say_first(f"cvae-train: a sweep, {' '.join(arguments)}")
        from cvae.sweeps.launch import run_sweep  # Hydra reads this file whenever it starts

        assert self.hydra_context is not None
        assert self.launcher is not None
        assert self.config is not None
        loader = self.hydra_context.config_loader
        run_sweep(loader, self.launcher, self.config, arguments, self.max_batch_size)
