"""Objectives against their definitions, written out with numpy."""

import numpy as np
import pytest
import torch

from trtdream.dream.objectives import guide, l2
from trtdream.errors import UsageError

BLOB = np.arange(2 * 3 * 2, dtype=np.float64).reshape(1, 2, 3, 2) - 5  # 1 x 2 x 3 x 2


def scored(objective, **values: np.ndarray) -> float:  # type: ignore[no-untyped-def]
    return objective.score({name: torch.from_numpy(value) for name, value in values.items()}).item()


def test_l2_and_channels() -> None:
    assert scored(l2("a"), a=BLOB) == 0.5 * (BLOB**2).sum()
    assert scored(l2("a", [1]), a=BLOB) == 0.5 * (BLOB[:, 1] ** 2).sum()
    with pytest.raises(UsageError, match="0 to 1"):
        scored(l2("a", [2]), a=BLOB)


def test_sums_and_weights() -> None:
    both = l2("a") + -0.5 * l2("b")
    assert both.values == {"a", "b"}
    assert scored(both, a=BLOB, b=2 * BLOB) == pytest.approx(0.5 * (BLOB**2).sum() * (1 - 0.5 * 4))


def test_guide_takes_the_best_match() -> None:
    """Its gradient is, at each place, the guide's feature vector with the greatest dot product (the notebook)."""
    theirs = np.random.default_rng(0).normal(size=(1, 2, 4, 4))
    ours = torch.from_numpy(BLOB).requires_grad_()
    guide("a", torch.from_numpy(theirs)).score({"a": ours}).backward()
    x, y = BLOB.reshape(2, -1), theirs.reshape(2, -1)
    wanted = y[:, (x.T @ y).argmax(1)]
    assert ours.grad is not None
    np.testing.assert_allclose(ours.grad.numpy().reshape(2, -1), wanted)
