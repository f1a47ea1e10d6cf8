"""Every public name, as a user's type checker sees it; nothing here is run."""

from pathlib import Path

import numpy as np
import torch

import cvae

run: cvae.Run = cvae.train(
    (np.zeros((5, 1)), np.zeros((5, 2))), prior="vamp", latent_dim=2, folder=Path("x")
)
model: cvae.CVAE = run.model
metrics: dict[str, float] = run.metrics
found: dict[str, float] = run.evaluate(samples=10, images=0, seed=1, trainer="gpu")
verdict: str = run.verdict
row: float = run.history[0]["val/elbo"]
run.plot().savefig("a.png")
y: torch.Tensor = model.sample({"age": 3, "sex": "f"}, n=3, rng=torch.Generator())
z = model.encode(np.zeros((5, 1)), np.zeros((5, 2)), n=2)
m: torch.Tensor = z.mean + z.deviation + z.draws[0]
r: torch.Tensor = model.reconstruct(None, y[0])
lp: torch.Tensor = model.log_prob([0, 1], y[0], samples=10)
im: torch.Tensor = model.impute("cat", y[0], n=2)
names: list[str] = model.classes + model.x_names + model.y_names
print(cvae.__version__, cvae.runs("f").columns, cvae.load("x").device)
data = cvae.datamodule("x", batch_size=3)
data.setup("test")
lightning: cvae.CVAE = cvae.CVAE.load_from_checkpoint("x", map_location="cpu")
try:
    model.decode(None, m)
except cvae.InputError as error:
    print(error)
