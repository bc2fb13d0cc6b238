"""Flatten, Reshape, Crop and Tile."""

import numpy as np
import pytest

from tests.net.kinds.single import numbers, shapes_of, single
from trtdream.errors import InputRefused

X = numbers(2, 3, 4, 5)


def check_reordering(layer: str, wanted: np.ndarray) -> None:
    run = single(layer, x=X)
    np.testing.assert_array_equal(run.top, wanted)
    run.check_gradients("x")


@pytest.mark.parametrize(
    ("param", "shape"),
    [
        ("", (2, 60)),
        ("axis: 0", (120,)),
        ("axis: 2", (2, 3, 20)),
        ("axis: 1 end_axis: 2", (2, 12, 5)),
        ("axis: -2 end_axis: -2", (2, 3, 4, 5)),
        ("end_axis: -3", (2, 3, 4, 5)),
    ],
)
def test_flatten(param: str, shape: tuple[int, ...]) -> None:
    check_reordering(f'type: "Flatten" bottom: "x" top: "y" flatten_param {{ {param} }}', X.reshape(shape))


@pytest.mark.parametrize(
    ("param", "shape"),
    [
        ("shape { dim: 0 dim: -1 }", (2, 60)),
        ("shape { dim: 0 dim: 0 dim: 2 dim: -1 }", (2, 3, 2, 10)),
        ("shape { dim: -1 dim: 1 dim: 8 }", (15, 1, 8)),
        ("shape { dim: 6 } num_axes: 2", (6, 4, 5)),
        ("shape { dim: 1 } axis: 1 num_axes: 0", (2, 1, 3, 4, 5)),
        ("shape { dim: 1 } axis: -1 num_axes: 0", (2, 3, 4, 5, 1)),
        ("shape { dim: 5 dim: 4 } axis: -3", (2, 3, 5, 4)),
        ("shape { dim: -1 dim: 0 } axis: 1 num_axes: 2", (2, 3, 4, 5)),
    ],
)
def test_reshape(param: str, shape: tuple[int, ...]) -> None:
    check_reordering(f'type: "Reshape" bottom: "x" top: "y" reshape_param {{ {param} }}', X.reshape(shape))


def test_reshape_to_a_single_number() -> None:
    layer = 'type: "Reshape" bottom: "x" top: "y" reshape_param { shape { } }'
    assert shapes_of(layer, x=(1, 1)).tops == ((),)


@pytest.mark.parametrize(
    ("param", "y"),
    [
        ("", X[:, :, :2, :3]),
        ("offset: 1", X[:, :, 1:3, 1:4]),
        ("offset: 2 offset: 1", X[:, :, 2:4, 1:4]),
        ("axis: 3 offset: 2", X[:, :, :, 2:5]),
        ("axis: 1 offset: [1, 0, 2]", X[:, 1:3, :2, 2:5]),
        ("axis: -4", X[:1, :2, :2, :3]),
    ],
)
def test_crop(param: str, y: np.ndarray) -> None:
    """From `axis` on as large as the second bottom; before it the sizes need not agree."""
    layer = f'type: "Crop" bottom: "x" bottom: "like" top: "y" crop_param {{ {param} }}'
    run = single(layer, x=X, like=np.zeros((1, 2, 2, 3)))
    np.testing.assert_array_equal(run.top, y)
    run.check_gradients("x")


@pytest.mark.parametrize(("param", "axis"), [("tiles: 3", 1), ("axis: 0 tiles: 2", 0), ("axis: -1 tiles: 2", 3)])
def test_tile(param: str, axis: int) -> None:
    copies = int(param[-1])
    wanted = np.concatenate([X] * copies, axis)
    check_reordering(f'type: "Tile" bottom: "x" top: "y" tile_param {{ {param} }}', wanted)


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        ('type: "Flatten" bottom: "x" top: "y" flatten_param { axis: 2 end_axis: 1 }', "lies before"),
        ('type: "Flatten" bottom: "x" top: "y" flatten_param { axis: 4 }', "axis 4"),
        ('type: "Flatten" bottom: "x" top: "x"', "does not work in place"),
        ('type: "Reshape" bottom: "x" top: "y" reshape_param { shape { dim: [-1, -1] } }', "only one"),
        ('type: "Reshape" bottom: "x" top: "y" reshape_param { shape { dim: [-2, 3] } }', "may be positive, 0 or -1"),
        ('type: "Reshape" bottom: "x" top: "y" reshape_param { shape { dim: [7, -1] } }', "cannot be reshaped"),
        ('type: "Reshape" bottom: "x" top: "y" reshape_param { shape { dim: [2, 3] } }', "cannot be reshaped"),
        ('type: "Reshape" bottom: "x" top: "y" reshape_param { shape { dim: [2, 3, 4, 5, 0] } }', "no axis 4"),
        ('type: "Reshape" bottom: "x" top: "y" reshape_param { axis: 5 }', "axes 5 to"),
        ('type: "Reshape" bottom: "x" top: "y" reshape_param { num_axes: -2 }', "axes 0 to -2"),
        ('type: "Reshape" bottom: "x" top: "y"', "cannot be reshaped"),
        ('type: "Crop" bottom: "x" bottom: "like" top: "y" crop_param { offset: [1, 1, 1] }', "offsets"),
        ('type: "Crop" bottom: "x" bottom: "like" top: "y" crop_param { offset: 3 }', "too few for 2 from 3"),
        ('type: "Crop" bottom: "x" top: "y"', "has 1 bottoms, wants 2"),
        ('type: "Tile" bottom: "x" top: "y"', "tiles must be"),
        ('type: "Tile" bottom: "x" top: "y" tile_param { tiles: 2 axis: 4 }', "axis 4"),
    ],
)
def test_refused(layer: str, what: str) -> None:
    with pytest.raises(InputRefused, match=what):
        shapes_of(layer, x=X.shape, like=(1, 2, 2, 3))
