"""What pooling's parameters may be; the numbers are held against real Caffe in test_layers_truth.py."""

import numpy as np
import pytest

from tests.net.kinds.single import numbers, shapes_of, single
from trtdream.errors import InputRefused

X = numbers(2, 3, 6, 5)


def pooling(param: str, tops: str = 'top: "y"') -> str:
    return f'type: "Pooling" bottom: "x" {tops} pooling_param {{ {param} }}'


@pytest.mark.parametrize(
    ("param", "sides"),
    [
        ("kernel_size: 2 stride: 2", (3, 3)),  # rounded up
        ("kernel_size: 2 stride: 2 round_mode: FLOOR", (3, 2)),
        ("kernel_size: 3", (4, 3)),  # stride 1
        ("kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2 pad_h: 1 pad_w: 0", (7, 2)),
        ("kernel_size: 2 stride: 2 pad: 1", (4, 3)),
        ("kernel_size: 9 stride: 9", (1, 1)),  # a last window may be larger than the map
        ("global_pooling: true", (1, 1)),
    ],
)
def test_sizes(param: str, sides: tuple[int, int]) -> None:
    assert shapes_of(pooling(param), x=X.shape).tops == ((2, 3, *sides),)


@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_global_and_gradients(method: str) -> None:
    run = single(pooling(f"pool: {method} global_pooling: true"), x=X)
    whole = X.max((2, 3), keepdims=True) if method == "MAX" else X.mean((2, 3), keepdims=True)
    np.testing.assert_allclose(run.top, whole)
    for param in ("global_pooling: true", "kernel_size: 3 stride: 2 pad: 1", "kernel_size: 2 stride: 3 pad: 1"):
        single(pooling(f"pool: {method} {param}"), x=X).check_gradients("x")


def test_average_divides_by_the_clipped_window() -> None:
    """Padding counts, what lies beyond it does not: 6 + 2 wide, windows at -1, 2 and 5 (3, 3 and 2 wide)."""
    run = single(pooling("pool: AVE kernel_size: 3 stride: 3 pad: 1"), x=np.ones((1, 1, 6, 6)))
    share = np.array([2 / 3, 1, 1 / 2])
    np.testing.assert_allclose(run.top[0, 0], np.outer(share, share))


def test_mask() -> None:
    run = single(pooling("kernel_size: 2 stride: 2", 'top: "y" top: "mask"'), x=X)
    flat = X.reshape(2, 3, -1)
    picked = np.take_along_axis(flat, run.tops["mask"].reshape(2, 3, -1).astype(int), 2)
    np.testing.assert_array_equal(picked.reshape(run.tops["y"].shape), run.tops["y"])


@pytest.mark.parametrize(
    ("param", "what"),
    [
        ("", "give kernel_size, or kernel_h and kernel_w"),
        ("kernel_size: 2 kernel_h: 2 kernel_w: 2", "give kernel_size, or"),
        ("kernel_h: 2", "kernel and stride must be"),
        ("kernel_size: 2 stride: 0", "kernel and stride must be"),
        ("kernel_size: 2 stride: 2 stride_h: 1 stride_w: 1", "give stride, or stride_h and stride_w"),
        ("kernel_size: 2 stride_w: 2", "give stride, or stride_h and stride_w"),
        ("kernel_size: 3 pad: 1 pad_h: 1 pad_w: 2", "give pad, or pad_h and pad_w"),
        ("kernel_size: 3 pad_h: 1", "give pad, or pad_h and pad_w"),
        ("kernel_size: 2 pad: 2", "must be less than the kernel"),
        ("kernel_size: 2 pool: STOCHASTIC", "STOCHASTIC is not supported"),
        ("global_pooling: true kernel_size: 2", "no kernel size"),
        ("global_pooling: true pad: 1", "pad 0 and stride 1"),
        ("global_pooling: true stride: 2", "pad 0 and stride 1"),
        ("kernel_size: 9", "less than the kernel's 9"),
    ],
)
def test_refused(param: str, what: str) -> None:
    with pytest.raises(InputRefused, match=what):
        shapes_of(pooling(param), x=X.shape)


def test_mask_of_an_average_refused() -> None:
    with pytest.raises(InputRefused, match="only MAX pooling has a second top"):
        shapes_of(pooling("pool: AVE kernel_size: 2", 'top: "y" top: "mask"'), x=X.shape)
