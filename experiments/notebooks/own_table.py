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
# # A table of one's own
#
# Any columns of a table can be x, and any others y. The diabetes data of scikit-learn have 442 patients; here age, sex
# and body-mass index are x, and three blood measurements and the progress of the disease are y.

# %%
import tempfile
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_diabetes

import cvae

frame = load_diabetes(as_frame=True, scaled=False).frame
frame["sex"] = frame["sex"].map({1: "a", 2: "b"})  # the data do not say which is which
x, y = ["age", "sex", "bmi"], ["s1", "s2", "s5", "target"]
run = cvae.train(
    frame,
    x=x,
    y=y,
    prior="mixture",
    latent_dim=4,
    max_epochs=60,
    folder=Path(tempfile.mkdtemp()) / "table",
)
run

# %%
run.model

# %% [markdown]
# ## Ask for an x
#
# Words and numbers are those of the table. `y_names` says what the numbers of a draw are.

# %%
drawn = run.model.sample({"age": 50, "sex": "a", "bmi": [20, 35]}, n=1000)
pd.DataFrame(drawn.mean(0), columns=run.model.y_names, index=["bmi 20", "bmi 35"])

# %% [markdown]
# ## How likely is a row, and what would a missing value be?
#
# `log_prob` is log p(y|x) in nats, by importance sampling. `impute` draws what is missing, given the rest of y and x.

# %%
rows = frame[:5].copy()
run.model.log_prob(rows[x], rows[y])

# %%
rows.loc[[0, 1], "target"] = None
filled = run.model.impute(rows[x], rows[y], n=200)
pd.DataFrame(
    {
        "drawn, mean": filled.mean(0)[:2, 3],
        "drawn, deviation": filled.std(0)[:2, 3],
        "true": frame["target"][:2],
    }
)

# %% [markdown]
# ## Embeddings
#
# The posterior's mean of z, as a table that other tools read.

# %%
z = run.model.encode(frame[x], frame[y])
pd.DataFrame(z.mean, columns=[f"z{i}" for i in range(z.mean.shape[1])]).describe().loc[
    ["mean", "std"]
]
