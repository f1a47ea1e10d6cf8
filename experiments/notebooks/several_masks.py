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
# # One image, several masks
#
# Experts often draw different masks of one image. Here x is a noisy image of a disc, and y a mask of it by one of two
# annotators: the first draws the whole disc, the second its core alone. Nothing in x says who will draw.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import cvae

rng = np.random.default_rng(0)
count, size = 2000, 16
rows, columns = np.mgrid[:size, :size]
centre = rng.uniform(5, 11, (count, 2, 1, 1))
distance = np.hypot(rows - centre[:, 0], columns - centre[:, 1])
noise = 0.15 * rng.standard_normal((count, size, size))
image = np.clip(0.8 * (distance < 4) + noise, 0, 1)
radius = np.where(rng.random(count) < 0.5, 4.0, 2.0)
mask = (distance < radius[:, None, None]).astype(np.int64)
run = cvae.train(
    (image[:, None].astype(np.float32), mask),
    kind="label_maps",
    network="conv",
    width=8,
    depth=2,
    prior="mixture",
    latent_dim=2,
    max_epochs=8,
    folder=Path(tempfile.mkdtemp()) / "masks",
)
run

# %%
chosen = torch.from_numpy(image[:3, None]).float()
drawn = run.model.sample(chosen, n=5, rng=torch.Generator().manual_seed(1))
figure, axes = plt.subplots(3, 6, figsize=(6, 3))
for row, x, masks in zip(axes, chosen, drawn.transpose(0, 1), strict=True):
    for ax, shown in zip(row, [x[0], *masks], strict=True):
        ax.imshow(shown, cmap="gray", vmin=0, vmax=1)
        ax.axis("off")
axes[0, 0].set_title("x")
axes[0, 3].set_title("five draws of y")

# %% [markdown]
# About half of the draws should be large, and none in between: a whole disc has some 50 pixels, a core some 13.

# %%
area = run.model.sample(chosen[:1], n=400).sum((-1, -2)).flatten()
plt.hist(area.numpy(), bins=40)
plt.xlabel("pixels of the mask")
