"""Scale and Bias, with learned factors and with a second bottom."""

import numpy as np
import pytest

from tests.net.kinds.single import numbers, shapes_of, single
from trtdream.errors import InputRefused

X = numbers(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("param", "shape"),
    [
        ("", (3,)),
        ("axis: 0", (2,)),
        ("axis: -1", (5,)),
        ("axis: 1 num_axes: 2", (3, 4)),
        ("axis: 2 num_axes: -1", (4, 5)),
        ("axis: 0 num_axes: -1", (2, 3, 4, 5)),
        ("num_axes: 0", ()),
    ],
)
def test_learned_along_some_axes(param: str, shape: tuple[int, ...]) -> None:
    axis = {0: 0, 2: 2, -1: 3}.get(int(param.split()[1]) if param.startswith("axis") else 1, 1)
    factor, bias = numbers(*shape, seed=1), numbers(*shape, seed=2)
    spread = (*shape, *[1] * (4 - axis - len(shape)))

    scale = single(f'type: "Scale" bottom: "x" top: "y" scale_param {{ {param} bias_term: true }}', [factor, bias], x=X)
    np.testing.assert_allclose(scale.top, X * factor.reshape(spread) + bias.reshape(spread), rtol=1e-12)
    scale.check_gradients("x")

    added = single(f'type: "Bias" bottom: "x" top: "y" bias_param {{ {param} }}', [bias], x=X)
    np.testing.assert_allclose(added.top, X + bias.reshape(spread), rtol=1e-12)
    added.check_gradients("x")


@pytest.mark.parametrize(
    ("axis", "shape"), [(0, (2,)), (0, (2, 3)), (1, (3,)), (1, (3, 4, 5)), (-2, (4, 5)), (3, (5,)), (1, ())]
)
def test_second_bottom(axis: int, shape: tuple[int, ...]) -> None:
    """num_axes is ignored then: the second bottom says how many axes there are."""
    along = numbers(*shape, seed=3)
    spread = along.reshape(*shape, *[1] * (4 - axis % 4 - len(shape)))
    scale = single(
        f'type: "Scale" bottom: "x" bottom: "s" top: "y" scale_param {{ axis: {axis} num_axes: 4 }}', x=X, s=along
    )
    np.testing.assert_allclose(scale.top, X * spread, rtol=1e-12)
    scale.check_gradients("x", "s")
    bias = single(f'type: "Bias" bottom: "x" bottom: "s" top: "y" bias_param {{ axis: {axis} }}', x=X, s=along)
    np.testing.assert_allclose(bias.top, X + spread, rtol=1e-12)
    bias.check_gradients("x", "s")


def test_second_bottom_with_a_learned_bias() -> None:
    factor, bias = numbers(3, seed=1), numbers(3, seed=2)
    run = single(
        'type: "Scale" bottom: "x" bottom: "s" top: "y" scale_param { bias_term: true }', [bias], x=X, s=factor
    )
    np.testing.assert_allclose(run.top, X * factor[:, None, None] + bias[:, None, None], rtol=1e-12)
    run.check_gradients("x", "s")


def test_scalar_second_bottom_whatever_the_axis() -> None:
    run = single('type: "Scale" bottom: "x" bottom: "s" top: "y" scale_param { axis: 7 }', x=X, s=np.array(3.0))
    np.testing.assert_allclose(run.top, 3 * X)


def test_a_new_scale_changes_nothing() -> None:
    """Without a filler a factor starts at 1 and a bias at 0; a filler that names no value means 0."""
    run = single('type: "Scale" bottom: "x" top: "y" scale_param { bias_term: true }', x=X)
    np.testing.assert_array_equal(run.top, X.astype(np.float64))
    zero = single('type: "Scale" bottom: "x" top: "y" scale_param { filler { } }', x=X)
    assert not zero.top.any()


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        ('type: "Scale" bottom: "x" top: "y" scale_param { axis: 2 num_axes: 3 }', "num_axes 3 from axis 2"),
        ('type: "Bias" bottom: "x" top: "y" bias_param { num_axes: -2 }', "num_axes -2"),
        ('type: "Scale" bottom: "x" top: "y" scale_param { axis: 4 }', "axis 4 does not exist"),
        ('type: "Scale" bottom: "x" bottom: "s" top: "y" scale_param { axis: 2 }', r"shape \(3,\) does not fit"),
        ('type: "Bias" bottom: "x" bottom: "s" bottom: "x" top: "y"', "has 3 bottoms, wants 1 to 2"),
    ],
)
def test_what_does_not_fit(layer: str, what: str) -> None:
    with pytest.raises(InputRefused, match=what):
        shapes_of(layer, x=(2, 3, 4, 5), s=(3,))
