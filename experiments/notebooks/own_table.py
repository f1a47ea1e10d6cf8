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
#
# It needs `pip install 'lightning-cvae[tables,hub]' pandas`: polars reads the table, and pandas shows it.

# %%
import os
import sys
import tempfile
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_diabetes

import cvae

os.chdir(tempfile.mkdtemp())
# Where the commands are, also in a kernel outside the environment's terminal.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

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
    folder="table",
)
run

# %%
run.model

# %% [markdown]
# The curve says whether it was trained long enough: the validation ELBO should have stopped rising. Of the epochs, the
# best one is kept, so that it may well fall at the end.

# %%
run.plot()

# %% [markdown]
# ## Is it right?
#
# `cvae-evaluate` measures that on the test rows, and prints a verdict and a table of figures. The run keeps both.

# %% language="sh"
# cvae-evaluate table > evaluation.txt 2>&1

# %%
print((run.folder / "verdict.txt").read_text())
evaluated = cvae.Run(run.folder).metrics
{name: evaluated[f"test/{name}"] for name in ("elbo", "nll", "nll_standard_error")}

# %% [markdown]
# The first sentence is about z. On other data these settings may collapse: it then says "z is not used", and the draws
# are those of a model without z. The last sentence says what to try against what is wrong, as a command, where
# something is known to help.

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
# The posterior of each row, its mean and its deviation, as a table that other tools read. `cvae-encode table` writes the
# same of the test rows.

# %%
z = run.model.encode(frame[x], frame[y])
names = range(z.mean.shape[1])
embeddings = pd.concat(
    [
        pd.DataFrame(z.mean, columns=[f"mean_z{i}" for i in names]),
        pd.DataFrame(z.deviation, columns=[f"deviation_z{i}" for i in names]),
    ],
    axis=1,
)
embeddings.to_csv("embeddings.csv", index=False)
embeddings.head().round(2)

# %% [markdown]
# ## Give it away
#
# A folder with the weights and the settings, and a card that describes the model. It holds no rows, but the names of the
# columns and the pictures of the run: look at it before you share it.

# %% language="sh"
# cvae-export table format=weights out=published > export.txt 2>&1

# %%
sorted(file.name for file in Path("published").iterdir())

# %%
again = cvae.load("published")
drawn = again.sample({"age": 50, "sex": "a", "bmi": 35}, n=3)[:, 0]
pd.DataFrame(drawn, columns=again.y_names)
