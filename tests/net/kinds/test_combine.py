"""Eltwise, Concat, Slice, Split and Silence."""

import numpy as np
import pytest

from tests.net.kinds.single import numbers, shapes_of, single
from trtdream.errors import InputRefused

A, B, C = (numbers(2, 3, 2, 2, seed=seed) for seed in range(3))
THREE = 'bottom: "a" bottom: "b" bottom: "c" top: "y"'


@pytest.mark.parametrize(
    ("param", "wanted"),
    [
        ("", A + B + C),
        ("operation: SUM coeff: 1 coeff: -1 coeff: 0.5", A - B + 0.5 * C),
        ("operation: PROD", A * B * C),
        ("operation: PROD stable_prod_grad: false", A * B * C),
        ("operation: MAX", np.maximum(np.maximum(A, B), C)),
    ],
)
def test_eltwise(param: str, wanted: np.ndarray) -> None:
    run = single(f'type: "Eltwise" {THREE} eltwise_param {{ {param} }}', a=A, b=B, c=C)
    np.testing.assert_allclose(run.top, wanted, rtol=1e-12)
    run.check_gradients("a", "b", "c")


def test_product_with_a_zero_has_a_gradient() -> None:
    run = single('type: "Eltwise" bottom: "a" bottom: "b" top: "y" eltwise_param { operation: PROD }', a=[0.0], b=[3.0])
    assert run.gradient("a").tolist() == [3.0]


@pytest.mark.parametrize(
    ("values", "winner"),
    [
        ((1, 1, 1), "b"),  # of the first two the second
        ((1, 1, 0), "b"),
        ((2, 1, 2), "a"),  # a third must be greater
        ((1, 2, 2), "b"),
        ((1, 2, 3), "c"),
    ],
)
def test_maximum_of_equals_has_one_winner(values: tuple[int, int, int], winner: str) -> None:
    a, b, c = ([float(value)] for value in values)
    run = single(f'type: "Eltwise" {THREE} eltwise_param {{ operation: MAX }}', a=a, b=b, c=c)
    gradients = {name: run.gradient(name).item() for name in "abc"}
    assert gradients == {name: float(name == winner) for name in "abc"}


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        ('bottom: "a" top: "y"', "has 1 bottoms, wants 2 or more"),
        ('bottom: "a" bottom: "d" top: "y"', "differ in shape"),
        ('bottom: "a" bottom: "b" top: "y" eltwise_param { coeff: 1 }', "1 coefficients for 2 bottoms"),
        ('bottom: "a" bottom: "b" top: "y" eltwise_param { operation: PROD coeff: [1, 1] }', "SUM only"),
    ],
)
def test_eltwise_refused(layer: str, what: str) -> None:
    with pytest.raises(InputRefused, match=what):
        shapes_of(f'type: "Eltwise" {layer}', a=(2, 3), b=(2, 3), d=(3, 2))


@pytest.mark.parametrize(
    ("param", "axis"), [("", 1), ("axis: 0", 0), ("axis: -1", 3), ("concat_dim: 0", 0), ("axis: 2", 2)]
)
def test_concat_and_slice_undo_each_other(param: str, axis: int) -> None:
    joined = np.concatenate([A, B, C], axis)
    run = single(f'type: "Concat" {THREE} concat_param {{ {param} }}', a=A, b=B, c=C)
    np.testing.assert_array_equal(run.top, joined)
    run.check_gradients("a", "b", "c")
    param = param.replace("concat_dim", "slice_dim")
    cut = single(f'type: "Slice" bottom: "x" top: "a" top: "b" top: "c" slice_param {{ {param} }}', x=joined)
    for name, part in zip("abc", (A, B, C), strict=True):
        np.testing.assert_array_equal(cut.tops[name], part)
    cut.check_gradients("x")


def test_slice_at_points() -> None:
    layer = 'type: "Slice" bottom: "x" top: "a" top: "b" top: "c" slice_param { slice_point: 1 slice_point: 4 }'
    assert shapes_of(layer, x=(2, 5, 3)).tops == ((2, 1, 3), (2, 3, 3), (2, 1, 3))


def test_one_bottom_or_top_is_enough() -> None:
    assert shapes_of('type: "Concat" bottom: "x" top: "y"', x=(2, 5)).tops == ((2, 5),)
    assert shapes_of('type: "Slice" bottom: "x" top: "y"', x=(2, 5)).tops == ((2, 5),)


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        ('type: "Concat" bottom: "a" bottom: "d" top: "y"', "differ in more than axis 1"),
        ('type: "Concat" bottom: "a" bottom: "e" top: "y" concat_param { axis: 0 }', "differ in more than axis 0"),
        ('type: "Concat" bottom: "a" top: "y" concat_param { axis: 0 concat_dim: 1 }', "not both"),
        ('type: "Concat" bottom: "a" top: "y" concat_param { axis: 2 }', "axis 2 does not exist"),
        ('type: "Slice" bottom: "a" top: "y" top: "z"', "3 cannot be cut into 2 equal parts"),
        ('type: "Slice" bottom: "a" top: "y" top: "z" slice_param { slice_point: 3 }', "do not cut 3 into 2"),
        ('type: "Slice" bottom: "a" top: "y" top: "z" slice_param { slice_point: [1, 2] }', "do not cut 3 into 2"),
    ],
)
def test_concat_and_slice_refused(layer: str, what: str) -> None:
    with pytest.raises(InputRefused, match=what):
        shapes_of(layer, a=(2, 3), d=(3, 3), e=(2, 3, 1))


def test_split_sums_the_gradients() -> None:
    run = single('type: "Split" bottom: "x" top: "a" top: "b"', x=A)
    for top in run.tops.values():
        np.testing.assert_array_equal(top, A)
    run.check_gradients("x")


def test_silence_has_no_top() -> None:
    assert shapes_of('type: "Silence" bottom: "x" bottom: "y"', x=(2, 3), y=(4,)).tops == ()
    with pytest.raises(InputRefused, match="has 1 tops, wants 0"):
        shapes_of('type: "Silence" bottom: "x" top: "y"', x=(2, 3))
