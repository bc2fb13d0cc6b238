"""The most probable classes."""

from __future__ import annotations

import numpy as np


def top_k(probabilities: np.ndarray, k: int) -> list[tuple[int, float]]:
    """The `k` largest of `probabilities`, a vector, as (index, probability), largest first.

    Among equals the lower index comes first; all are given if there are fewer than `k`.
    """
    if probabilities.ndim != 1 or k < 1:
        raise ValueError(f"a vector and k >= 1 are wanted, not shape {probabilities.shape} and k = {k}")
    order = np.argsort(-probabilities, kind="stable")[:k]
    return [(int(index), float(probabilities[index])) for index in order]
