"""A classifier two-sample test: whether draws can be told from the data.

Each pair of rows belongs together: a real one and a drawn one for the same x. A classifier learns
from some of the pairs to tell which is which, and is asked about the others (Lopez-Paz & Oquab
2017, "Revisiting Classifier Two-Sample Tests"). If the draws come from the true p(y|x), the two
rows of a pair may change places, whatever the classifier is; so the null is a permutation within
the pairs that it has not seen, and it is exact.
"""

import warnings

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from torch import Tensor

from cvae.evaluation.diagnostics.calibration import Test, standardised

_FLIPS = 999
"""Permutations of the null."""


def told_apart(real: Tensor, drawn: Tensor, rng: torch.Generator) -> Test:
    """Return in which share of unseen pairs a classifier takes the real row for the real one.

    The effect is that share, 1/2 if it can only guess. There are two classifiers, boosted trees
    and a small network, each learned from one half of the pairs and asked about the other; both
    scores are added up. The p-value is the smaller one of the halves, times two.

    Args:
        real: Numbers of real pairs, (B, F): of x and y.
        drawn: The same with drawn y, in the same order, (B, F).
        rng: Source of randomness.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> real, drawn = torch.randn(40, 1, generator=rng), torch.full((40, 1), 9.0)
        >>> told_apart(real, drawn, rng).effect
        1.0
    """
    both = standardised(torch.cat((real, drawn))).float().nan_to_num(0.0).clamp(-10, 10).numpy()
    first, second = both[: len(real)], both[len(real) :]
    order = torch.randperm(len(real), generator=rng).numpy()
    halves, margins, p_values = (order[::2], order[1::2]), [], []
    seed = int(torch.randint(2**31, (), generator=rng))
    for learned, asked in (halves, halves[::-1]):
        margin = _margins(first, second, learned, asked, seed)
        signs = torch.randint(2, (_FLIPS, len(asked)), generator=rng).numpy() * 2 - 1
        above = int(np.sum(signs @ margin >= margin.sum()))
        p_values.append((1 + above) / (1 + _FLIPS))
        margins.append(margin)
    every = np.concatenate(margins)
    right = float(np.mean((every > 0) + 0.5 * (every == 0)))
    return Test(right, min(1.0, 2 * min(p_values)))


def _margins(
    real: np.ndarray, drawn: np.ndarray, learned: np.ndarray, asked: np.ndarray, seed: int
) -> np.ndarray:
    """Return by how much each asked real row scores above its drawn one, from -1 to 1, (M,)."""
    rows = np.concatenate((real[learned], drawn[learned]))
    labels = np.repeat((1, 0), len(learned))
    batch = min(64, len(rows))
    trees = HistGradientBoostingClassifier(
        max_iter=60,
        max_leaf_nodes=8,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    network = MLPClassifier((32,), alpha=0.1, max_iter=60, batch_size=batch, random_state=seed)
    margin = np.zeros(len(asked))
    for classifier in (trees, network):
        with warnings.catch_warnings():  # the network is stopped early on purpose
            warnings.simplefilter("ignore", ConvergenceWarning)
            classifier.fit(rows, labels)
        score = [classifier.predict_proba(part[asked])[:, 1] for part in (real, drawn)]
        margin += 0.5 * (score[0] - score[1])
    return margin
