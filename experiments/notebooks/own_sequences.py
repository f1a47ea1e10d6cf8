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
# # Sequences of one's own
#
# y is a path in the plane, 16 steps long, from the left to the right. An obstacle is in its way, and the path may go
# round it on either side: given x, the width of the obstacle, p(y|x) has two modes. A network that predicts one path
# would go straight through.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import cvae

rng = np.random.default_rng(0)
count, steps = 3000, np.linspace(0, 1, 16)
width = rng.uniform(0.2, 1.0, count)
side = rng.choice([-1, 1], count)
across = (side * width)[:, None] * np.sin(np.pi * steps)
across += 0.03 * rng.standard_normal((count, 16))
y = np.stack([np.broadcast_to(steps, (count, 16)), across], axis=-1)
run = cvae.train(
    (width[:, None], y),
    kind="sequences",
    prior="mixture",
    latent_dim=2,
    max_epochs=30,
    folder=Path(tempfile.mkdtemp()) / "paths",
)
run

# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True)
for ax, wanted in zip(axes, (0.3, 0.6, 0.9), strict=True):
    drawn = run.model.sample(wanted, n=20, rng=torch.Generator().manual_seed(0))[:, 0]
    ax.plot(*drawn.permute(2, 1, 0), color="tab:blue", alpha=0.5)
    ax.set(title=f"x = {wanted}", xlabel="y₁")
axes[0].set_ylabel("y₂")

# %% [markdown]
# Half of the draws should pass on each side.

# %%
drawn = run.model.sample([0.3, 0.6, 0.9], n=1000)
(drawn[:, :, 8, 1] > 0).float().mean(0)
