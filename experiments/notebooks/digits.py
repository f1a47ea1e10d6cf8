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
# # Digits from nothing
#
# A conditional VAE learns p(y|x): here x is a digit and y an image of it. The program carries 1,797 scans of
# handwritten digits of 8×8 pixels, so that nothing has to be fetched.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import cvae

work = Path(tempfile.mkdtemp())
run = cvae.train("digits", latent_dim=2, max_epochs=40, folder=work / "digits")
run

# %% [markdown]
# The model says what it is. Its three networks are the prior p(z|x), the posterior q(z|x, y) and the generator
# p(y|x, z).

# %%
run.model

# %%
run.plot()

# %% [markdown]
# ## Several y for an x
#
# `sample` draws z from the prior and y given z. A column is a digit, a row a draw of z.

# %%
images = run.model.sample("2018", n=4, rng=torch.Generator().manual_seed(0), mean=True)
figure, axes = plt.subplots(4, 4, figsize=(3, 3))
for row, of_row in zip(axes, images, strict=True):
    for ax, image in zip(row, of_row, strict=True):
        ax.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
        ax.axis("off")

# %% [markdown]
# ## Where the digits lie in the space of z
#
# `encode` gives the posterior of each target: its mean and its deviation. A prior that is learned may put each digit
# where it likes. Under N(0, I) all digits share one place, and z says what is left once the digit is known.

# %%
plain = cvae.train(
    "digits",
    prior="standard",
    latent_dim=2,
    max_epochs=40,
    folder=work / "plain",
)
figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), sharex=True, sharey=True)
titles = ("p(z|x) learned", "p(z|x) = N(0, I)")
for ax, one, title in zip(axes, (run, plain), titles, strict=True):
    data = cvae.datamodule(one.folder)
    data.setup("test")
    x, y = data.on_after_batch_transfer(data.test_set.some())
    z = one.model.encode(x, y).mean
    ax.scatter(z[:, 0], z[:, 1], c=x.argmax(1), cmap="tab10", s=8)
    ax.set(title=title, xlabel="z₁", ylabel="z₂")

# %% [markdown]
# The two can be compared: both are trained on the same images, and their nats are of the same binary pixels.

# %%
cvae.runs(work)
