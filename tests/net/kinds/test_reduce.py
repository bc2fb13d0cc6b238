"""Reduction and ArgMax."""

import numpy as np
import pytest

from tests.net.kinds.single import numbers, shapes_of, single
from trtdream.errors import InputRefused

X = numbers(2, 3, 4)


@pytest.mark.parametrize(("axis", "start"), [("", 0), ("axis: 1", 1), ("axis: -1", 2)])
@pytest.mark.parametrize(
    ("operation", "formula"),
    [
        ("", lambda x: x.sum(-1)),
        ("operation: ASUM", lambda x: np.abs(x).sum(-1)),
        ("operation: SUMSQ", lambda x: (x**2).sum(-1)),
        ("operation: MEAN", lambda x: x.mean(-1)),
    ],
)
def test_reduction(axis: str, start: int, operation: str, formula) -> None:
    run = single(f'type: "Reduction" bottom: "x" top: "y" reduction_param {{ {axis} {operation} coeff: -0.5 }}', x=X)
    assert run.top.shape == X.shape[:start]
    np.testing.assert_allclose(run.top, -0.5 * formula(X.reshape(*X.shape[:start], -1)))
    run.check_gradients("x")


def test_reduction_as_a_loss() -> None:
    run = single('type: "Reduction" bottom: "x" top: "y" loss_weight: 2', x=X)
    assert run.module.loss(run.module(run.inputs)).item() == pytest.approx(2 * X.sum())


TIES = np.array([[1.0, 3, 3, 2], [5, 4, 4, 4]])


@pytest.mark.parametrize(
    ("param", "wanted"),
    [
        ("", [[[2]], [[0]]]),  # of equal numbers the last
        ("top_k: 3", [[[2, 1, 3]], [[0, 3, 2]]]),
        ("top_k: 2 out_max_val: true", [[[2, 1], [3, 3]], [[0, 3], [5, 4]]]),
        ("axis: 1", [[2], [0]]),
        ("axis: -1 top_k: 2 out_max_val: true", [[3, 3], [5, 4]]),
        ("axis: 0", [[1, 1, 1, 1]]),
    ],
)
def test_argmax(param: str, wanted: list) -> None:
    layer = f'type: "ArgMax" bottom: "x" top: "y" argmax_param {{ {param} }}'
    assert single(layer, x=TIES).top.tolist() == wanted
    assert shapes_of(layer, x=TIES.shape).tops == (np.shape(wanted),)


def test_argmax_of_pictures() -> None:
    """Along the channels a map of classes, as of an FCN; without an axis one number for each sample."""
    x = numbers(2, 5, 3, 3)
    along = single('type: "ArgMax" bottom: "x" top: "y" argmax_param { axis: 1 }', x=x)
    np.testing.assert_array_equal(along.top, x.argmax(1)[:, None])
    whole = single('type: "ArgMax" bottom: "x" top: "y"', x=x)
    np.testing.assert_array_equal(whole.top, x.reshape(2, -1).argmax(1)[:, None, None, None])
    assert single('type: "ArgMax" bottom: "x" top: "y"', x=[4.0, 5.0]).top.tolist() == [[[0]], [[0]]]


@pytest.mark.parametrize("param", ["top_k: 0", "top_k: 13", "axis: 1 top_k: 4", "axis: 3"])
def test_argmax_refused(param: str) -> None:
    with pytest.raises(InputRefused, match=r"top_k|axis 3"):
        shapes_of(f'type: "ArgMax" bottom: "x" top: "y" argmax_param {{ {param} }}', x=X.shape)
