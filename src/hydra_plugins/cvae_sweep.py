"""Hydra takes sweepers from this namespace alone; what this one does lies in `cvae.sweeps`."""

from collections.abc import Callable
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class Sweep(BasicSweeper):
    """Runs every combination, or what a search proposes, and goes on where it was cut off.

    Args:
        max_batch_size: The most jobs that the launcher is given at once; None is all of them.
        params: What is swept, beside what the command line says.
        check: Raises an `InputError` unless a job's configuration can be run.
    """

    def __init__(
        self,
        max_batch_size: int | None,
        params: dict[str, str] | None,
        check: Callable[[Any], None],
    ) -> None:
        super().__init__(max_batch_size, params)
        self.check = check

    def sweep(self, arguments: list[str]) -> None:
        """Run the sweep of these overrides."""
        from cvae.sweeps.run import run  # Hydra reads this file whenever it starts

        assert self.hydra_context is not None
        assert self.launcher is not None
        assert self.config is not None
        run(
            self.hydra_context.config_loader,
            self.launcher,
            self.config,
            [*self._parse_config(), *arguments],
            self.check,
            self.max_batch_size,
        )
