"""How far drawn rows of a table are from real ones; and TVAE, which gives no likelihood."""

import importlib
from itertools import accumulate

import numpy as np
import torch
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from torch import Tensor

from real_data_rivals import Columns, Pairs

POOL, NEAREST = 50_000, 5


def measures(real: Pairs, drawn: Pairs, made: Pairs, columns: Columns) -> dict[str, float]:
    """Return how far drawn rows are from real ones.

    `kolmogorov_smirnov`, the largest difference of the distribution functions, mean over the real
    and the count columns; `total_variation`, half the sum of the differences of the shares, mean
    over the columns of categories; `correlation`, the mean absolute difference of the correlations
    of all pairs of columns, x among them and categories one-hot; `auc`, the area under the ROC
    curve on real rows, of boosted trees that were trained on made rows to tell the last column.

    Args:
        real: Test rows.
        drawn: The same x, each with a drawn y.
        made: Training x, each with a drawn y.
        columns: The columns of y.
    """
    pairs = list(zip(columns, real.y.T.numpy(), drawn.y.T.numpy(), strict=True))
    numbers = [ks_2samp(a, b).statistic for (kind, _), a, b in pairs if kind != "category"]
    shares = [
        abs(_shares(a, c) - _shares(b, c)).sum() / 2
        for (kind, c), a, b in pairs
        if kind == "category"
    ]
    apart = np.nan_to_num(_correlations(real, columns) - _correlations(drawn, columns))
    return {
        "kolmogorov_smirnov": float(np.mean(numbers)),
        "total_variation": float(np.mean(shares)),
        "correlation": float(abs(apart[np.triu_indices(len(apart), 1)]).mean()),
        "auc": _auc(made, real),
    }


def _shares(values: np.ndarray, categories: int) -> np.ndarray:
    return np.bincount(values.astype(int), minlength=categories) / len(values)


def _correlations(pairs: Pairs, columns: Columns) -> np.ndarray:
    y = [
        np.eye(size)[one.astype(int)] if kind == "category" else one[:, None]
        for (kind, size), one in zip(columns, pairs.y.T.numpy(), strict=True)
    ]
    with np.errstate(invalid="ignore"):  # of a column that is constant
        return np.corrcoef(np.hstack([pairs.x.numpy(), *y]), rowvar=False)


def _auc(made: Pairs, real: Pairs) -> float:
    inputs = [np.hstack([pairs.x.numpy(), pairs.y[:, :-1].numpy()]) for pairs in (made, real)]
    trees = HistGradientBoostingClassifier(random_state=0).fit(inputs[0], made.y[:, -1].numpy())
    return float(roc_auc_score(real.y[:, -1].numpy(), trees.predict_proba(inputs[1])[:, 1]))


def tvae_draws(
    train: Pairs, asked: list[Tensor], widths: list[int], columns: Columns, seed: int
) -> list[Tensor]:
    """Train TVAE with its own settings (Xu et al. 2019, "Modeling Tabular data using Conditional
    GAN"), and draw a y for each x of each tensor asked for.

    It models x and y together. So a y given x is that of a row with the categories of x, among
    50,000 that it draws, by chance one of the five whose numbers are nearest.

    Args:
        train: The training rows.
        asked: Tensors of x, (N, F).
        widths: How many numbers each part of x takes; a part of several is one-hot.
        columns: The columns of y.
        seed: Of the weights and the draws.
    """
    pandas, ctgan = map(importlib.import_module, ("pandas", "ctgan"))
    parts, size = _parts(train.x, widths), len(widths)
    rows = np.hstack([parts, train.y.numpy()])
    words = [i for i, width in enumerate(widths) if width > 1]
    words += [size + i for i, (kind, _) in enumerate(columns) if kind == "category"]
    frame = pandas.DataFrame(rows, columns=[str(i) for i in range(rows.shape[1])])
    frame = frame.astype({str(i): int for i in words})
    model = ctgan.TVAE(enable_gpu=False)
    model.set_random_state(seed)
    torch.manual_seed(seed)
    model.fit(frame, [str(i) for i in words])
    pool = model.sample(POOL).to_numpy(float)
    for i, (kind, _) in enumerate(columns, size):
        pool[:, i] = pool[:, i].round().clip(0) if kind == "count" else pool[:, i]
    rng = np.random.default_rng(seed)
    return [_nearest(pool, _parts(x, widths), parts.std(0), widths, rng) for x in asked]


def _parts(x: Tensor, widths: list[int]) -> np.ndarray:
    """Return the parts of x as a number each, (N, P)."""
    ends = list(accumulate(widths))
    each = [x[:, end - width : end] for end, width in zip(ends, widths, strict=True)]
    numbers = [part.argmax(1) if part.shape[1] > 1 else part[:, 0] for part in each]
    return torch.stack(numbers, 1).double().numpy()


def _nearest(
    pool: np.ndarray, x: np.ndarray, scale: np.ndarray, widths: list[int], rng: np.random.Generator
) -> Tensor:
    word = np.array(widths) > 1
    found = []
    for row in x:
        same = pool[(pool[:, : len(row)][:, word] == row[word]).all(1)]
        same = same if len(same) else pool
        away = abs((same[:, : len(row)] - row) / scale)[:, ~word].sum(1)
        nearest = np.argsort(away)[:NEAREST]
        found.append(same[rng.choice(nearest), len(row) :])
    return torch.from_numpy(np.array(found)).float()
