"""BatchNorm with its running sums, and MVN."""

import numpy as np
import pytest

from tests.net.kinds.single import numbers, shapes_of, single
from trtdream.errors import InputRefused
from trtdream.net.kind import Phase

X = numbers(4, 3, 2, 5, scale=3) + 1
LAYER = 'type: "BatchNorm" bottom: "x" top: "y"'
SUMS = [numbers(3, seed=1), np.abs(numbers(3, seed=2)) + 0.1, np.array([2.5])]


def spread(values: np.ndarray) -> np.ndarray:
    return values[:, None, None]


@pytest.mark.parametrize(
    ("phase", "param"), [(Phase.TEST, "eps: 0.01"), (Phase.TRAIN, "eps: 0.01 use_global_stats: true")]
)
def test_stored_statistics(phase: Phase, param: str) -> None:
    """The third number is what the two sums are divided by: how many batches, as it were, they hold."""
    run = single(f"{LAYER} batch_norm_param {{ {param} }}", SUMS, phase, x=X)
    mean, variance = SUMS[0] / 2.5, SUMS[1] / 2.5
    np.testing.assert_allclose(run.top, (X - spread(mean)) / np.sqrt(spread(variance) + 0.01), rtol=1e-12)
    run.check_gradients("x")
    for before, after in zip(SUMS, run.weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(("phase", "param"), [(Phase.TRAIN, ""), (Phase.TEST, "use_global_stats: false")])
def test_batch_statistics(phase: Phase, param: str) -> None:
    run = single(f"{LAYER} batch_norm_param {{ {param} }}", phase=phase, x=X)
    axes = (0, 2, 3)
    wanted = (X - X.mean(axes, keepdims=True)) / np.sqrt(X.var(axes, keepdims=True) + 1e-5)
    np.testing.assert_allclose(run.top, wanted, rtol=1e-10, atol=1e-12)
    run.check_gradients("x")


def test_running_sums() -> None:
    """sum = 0.9 sum + new; the variance is the unbiased one; the divisor runs the same way."""
    run = single(f"{LAYER} batch_norm_param {{ moving_average_fraction: 0.9 }}", SUMS, Phase.TRAIN, x=X)
    assert run.top.shape == X.shape  # one forward pass
    mean, variance, factor = run.weights()
    np.testing.assert_allclose(mean, 0.9 * SUMS[0] + X.mean((0, 2, 3)))
    np.testing.assert_allclose(variance, 0.9 * SUMS[1] + X.var((0, 2, 3), ddof=1))
    np.testing.assert_allclose(factor, 0.9 * 2.5 + 1)


def test_default_fraction_and_a_new_layer() -> None:
    run = single(LAYER, x=X)
    np.testing.assert_allclose(run.top, X / np.sqrt(1e-5))  # nothing stored: mean 0, variance 0
    trained = single(LAYER, phase=Phase.TRAIN, x=X)
    for _ in range(2):
        assert trained.top.shape == X.shape
    np.testing.assert_allclose(trained.weights()[2], 1.999)


def test_one_value_a_channel() -> None:
    """Caffe normalises it to 0 and keeps its variance 0, where torch's own function refuses."""
    run = single(LAYER, phase=Phase.TRAIN, x=[[3.0, -2.0]])
    np.testing.assert_allclose(run.top, [[0, 0]], atol=1e-9)
    mean, variance, _ = run.weights()
    assert mean.tolist() == [3, -2]
    assert variance.tolist() == [0, 0]


def test_statistics_are_not_learned() -> None:
    shapes = shapes_of(f"{LAYER} param {{ lr_mult: 1 }} param {{ lr_mult: 1 }} param {{ lr_mult: 1 }}", x=X.shape)
    assert [(weight.shape, weight.learned) for weight in shapes.weights] == [
        ((3,), False),
        ((3,), False),
        ((1,), False),
    ]
    assert not any(weight.requires_grad for weight in single(LAYER, x=X).module.parameters())


def test_wants_channels() -> None:
    with pytest.raises(InputRefused, match="has no channels"):
        shapes_of(LAYER, x=(4,))


@pytest.mark.parametrize(
    ("param", "axes", "variance"),
    [
        ("", (2, 3), True),
        ("across_channels: true", (1, 2, 3), True),
        ("normalize_variance: false", (2, 3), False),
        ("eps: 0.5", (2, 3), True),
    ],
)
def test_mvn(param: str, axes: tuple[int, ...], variance: bool) -> None:
    """eps is added to the standard deviation, not to the variance."""
    run = single(f'type: "MVN" bottom: "x" top: "y" mvn_param {{ {param} }}', x=X)
    eps = 0.5 if "eps" in param else 1e-9
    wanted = X - X.mean(axes, keepdims=True)
    if variance:
        wanted = wanted / (X.std(axes, keepdims=True) + eps)
    np.testing.assert_allclose(run.top, wanted, rtol=1e-10, atol=1e-12)
    run.check_gradients("x")


def test_mvn_of_a_constant_has_a_finite_gradient() -> None:
    run = single('type: "MVN" bottom: "x" top: "y" mvn_param { eps: 1 }', x=np.ones((1, 1, 2, 2)))
    assert not run.top.any()
    dtop = np.array([[[[1.0, 0], [0, 0]]]])
    np.testing.assert_allclose(run.gradient("x", dtop), dtop - 0.25)
