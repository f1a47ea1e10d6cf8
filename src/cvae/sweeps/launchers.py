"""What a launcher needs of the machine that a sweep is started on."""

from shutil import which

from omegaconf import DictConfig

from cvae.errors import InputError

_NEEDS = {"SlurmLauncher": ("sbatch", "srun")}
"""Programs without which a launcher gives up, once the sweep's folder has been written."""


def require_launcher(config: DictConfig) -> None:
    """Refuse a launcher that cannot work here.

    Args:
        config: The configuration of the sweep, with Hydra's own.

    Raises:
        InputError: Naming what is absent.
    """
    name = config.hydra.launcher._target_.rpartition(".")[2]
    for program in _NEEDS.get(name, ()):
        if which(program) is None:
            raise InputError(
                f"launcher: slurm needs the program {program}, which this machine lacks; start the "
                "sweep on a machine of the cluster, or choose launcher=joblib"
            )
