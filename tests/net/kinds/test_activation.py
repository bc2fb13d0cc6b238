"""Activations against their formulae, where they bend included."""

import numpy as np
import pytest

from tests.net.kinds.single import numbers, single
from trtdream.errors import InputRefused

X = np.array([[-3.0, -1.0, -0.5, 0.5, 1.0, 3.0]])


@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        ('type: "ReLU"', lambda x: np.maximum(x, 0)),
        ('type: "ReLU" relu_param { negative_slope: 0.1 }', lambda x: np.where(x > 0, x, 0.1 * x)),
        ('type: "ReLU" relu_param { negative_slope: -1 engine: CAFFE }', np.abs),
        ('type: "ELU"', lambda x: np.where(x > 0, x, np.exp(x) - 1)),
        ('type: "ELU" elu_param { alpha: 0.3 }', lambda x: np.where(x > 0, x, 0.3 * (np.exp(x) - 1))),
        ('type: "Sigmoid" sigmoid_param { engine: CUDNN }', lambda x: 1 / (1 + np.exp(-x))),
        ('type: "TanH"', np.tanh),
        ('type: "BNLL"', lambda x: np.log(1 + np.exp(x))),
        ('type: "Swish"', lambda x: x / (1 + np.exp(-x))),
        ('type: "Swish" swish_param { beta: 1.5 }', lambda x: x / (1 + np.exp(-1.5 * x))),
        ('type: "Clip" clip_param { min: -0.6 max: 2 }', lambda x: np.clip(x, -0.6, 2)),
    ],
)
def test_formula_and_gradient(layer: str, formula) -> None:
    run = single(f'{layer} bottom: "x" top: "y"', x=X)
    np.testing.assert_allclose(run.top, formula(X), rtol=1e-12)
    run.check_gradients("x")


def test_threshold_is_strict() -> None:
    run = single('type: "Threshold" bottom: "x" top: "y" threshold_param { threshold: 0.5 }', x=X)
    np.testing.assert_array_equal(run.top, [[0, 0, 0, 0, 1, 1]])
    assert single('type: "Threshold" bottom: "x" top: "y"', x=[[0.0, 1e-9]]).top.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("layer", "at_zero"),
    [
        ('type: "ReLU"', 0.0),
        ('type: "ReLU" relu_param { negative_slope: 0.25 }', 0.25),
        ('type: "ELU" elu_param { alpha: 0.5 }', 0.5),
        ('type: "BNLL"', 0.5),
        ('type: "Clip" clip_param { min: 0 max: 1 }', 1.0),
    ],
)
def test_gradient_at_the_bend(layer: str, at_zero: float) -> None:
    """Caffe's backward says `bottom > 0`, but for Clip, whose bounds belong to the inside."""
    assert single(f'{layer} bottom: "x" top: "y"', x=[[0.0]]).gradient("x").item() == at_zero


def test_bnll_does_not_overflow() -> None:
    run = single('type: "BNLL" bottom: "x" top: "y"', x=[[-800.0, 800.0]])
    assert run.top.tolist() == [[0, 800]]
    assert run.gradient("x").tolist() == [[0, 1]]


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 2, 4)])
def test_prelu_has_a_slope_for_each_channel(shape: tuple[int, ...]) -> None:
    x, slope = numbers(*shape), np.array([0.1, -0.5, 2.0])
    run = single('type: "PReLU" bottom: "x" top: "y"', [slope], x=x)
    along = slope.reshape(1, 3, *[1] * (len(shape) - 2))
    np.testing.assert_allclose(run.top, np.where(x > 0, x, along * x), rtol=1e-12)
    run.check_gradients("x")


def test_prelu_shared_by_all_channels() -> None:
    run = single('type: "PReLU" bottom: "x" top: "y" prelu_param { channel_shared: true }', x=X)
    (slope,) = run.weights()
    assert slope.shape == ()
    assert slope == 0.25  # where no filler is given
    np.testing.assert_allclose(run.top, np.where(X > 0, X, 0.25 * X))
    run.check_gradients("x")


def test_prelu_filler_without_a_value_is_zero() -> None:
    layer = 'type: "PReLU" bottom: "x" top: "y" prelu_param { filler { type: "constant" } }'
    assert single(layer, x=X).weights()[0].tolist() == [0.0] * 6


@pytest.mark.parametrize("clip", ["", "clip_param { min: 1 }", "clip_param { max: 1 }"])
def test_clip_needs_both_bounds(clip: str) -> None:
    with pytest.raises(InputRefused, match="needs both min and max"):
        single(f'type: "Clip" bottom: "x" top: "y" {clip}', x=X)
