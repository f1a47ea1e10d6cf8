# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A sweep, its report and the verdict
#
# A sweep is a command: every combination of the settings that have several values becomes a run.

# %%
import os
import sys
import tempfile
from pathlib import Path

from IPython.display import Image

import cvae

os.chdir(tempfile.mkdtemp())
# Where the commands are, also in a kernel outside the environment's terminal.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

# %% language="sh"
# cvae-train -m prior=standard,gaussian objective.beta=1,20 latent_dim=4 \
#   trainer.max_epochs=20 hydra.sweep.dir=sweep > sweep.txt 2>&1

# %%
print(Path("sweep.txt").read_text())

# %% [markdown]
# All runs of a folder as a table, the best validation ELBO first:

# %%
cvae.runs("sweep")

# %% [markdown]
# `cvae-report sweep` writes the same as a page, with curves and samples. A run can be examined: is z used, and are the
# draws as wide as the data? `cvae-evaluate` prints a verdict and a table of figures, and the run keeps both.
# With β = 20 the KL term costs so much that z carries nothing.

# %%
best, *_, worst = [Path("sweep") / row["run"] for row in cvae.runs("sweep")]

# %% magic_args="-s $worst" language="sh"
# cvae-evaluate "$1" samples=200 images=0 > worst.txt 2>&1

# %%
print((worst / "verdict.txt").read_text())

# %% [markdown]
# The same of the best run, the figures of the test, and how well its draws are calibrated:

# %% magic_args="-s $best" language="sh"
# cvae-evaluate "$1" samples=200 images=0 > best.txt 2>&1

# %%
print((best / "verdict.txt").read_text())

# %%
figures = cvae.Run(best).metrics
{name: round(value, 2) for name, value in figures.items() if name.startswith("test/")}

# %%
Image(best / "calibration.png")
