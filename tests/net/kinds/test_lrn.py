"""LRN in both regions against its definition, gradients included."""

import numpy as np
import pytest
import torch

from tests.net.kinds.single import numbers, shapes_of, single
from trtdream.errors import InputRefused
from trtdream.net.maths import lrn_in_pieces
from trtdream.net.maths.lrn import across_channels, across_channels_plain

X = numbers(2, 6, 5, 4, scale=3)


@pytest.mark.parametrize(("size", "alpha", "beta", "k"), [(1, 1, 0.75, 1), (3, 0.1, 0.5, 2), (5, 1, 0.6, 1.5)])
def test_across_channels(size: int, alpha: float, beta: float, k: float) -> None:
    param = f"lrn_param {{ local_size: {size} alpha: {alpha} beta: {beta} k: {k} }}"
    run = single(f'type: "LRN" bottom: "x" top: "y" {param}', x=X)
    half = size // 2
    padded = np.pad(X**2, ((0, 0), (half, half), (0, 0), (0, 0)))
    sums = sum(padded[:, start : start + 6] for start in range(size))
    np.testing.assert_allclose(run.top, X / (k + alpha / size * sums) ** beta, rtol=1e-12)
    run.check_gradients("x")


@pytest.mark.parametrize("size", [1, 3, 5])
def test_within_channel(size: int) -> None:
    """The mean is over size x size positions, those beyond the edge counted as 0; k has no say."""
    param = f"lrn_param {{ local_size: {size} alpha: 0.5 beta: 0.6 k: 9 norm_region: WITHIN_CHANNEL }}"
    run = single(f'type: "LRN" bottom: "x" top: "y" {param}', x=X)
    half = size // 2
    padded = np.pad(X**2, ((0, 0), (0, 0), (half, half), (half, half)))
    mean = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (2, 3)).mean((-1, -2))
    np.testing.assert_allclose(run.top, X * (1 + 0.5 * mean) ** -0.6, rtol=1e-12)
    run.check_gradients("x")


def test_float16_does_not_overflow() -> None:
    x = torch.full((1, 8, 3, 3), 1000.0, dtype=torch.float16)
    y = across_channels(x, 5, 1e-4, 0.75, 1.0).double()
    inner = 1000 / (1 + 1e-4 * 1000**2) ** 0.75
    np.testing.assert_allclose(y[0, 2:6].numpy(), inner, rtol=5e-3)


def test_a_second_derivative_is_refused_not_wrong() -> None:
    x = torch.as_tensor(X, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad((across_channels(x, 5, 1.0, 0.75, 1.0) ** 2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_refused() -> None:
    with pytest.raises(InputRefused, match="local_size 4 must be odd"):
        shapes_of('type: "LRN" bottom: "x" top: "y" lrn_param { local_size: 4 }', x=X.shape)
    with pytest.raises(InputRefused, match="N x C x H x W"):
        shapes_of('type: "LRN" bottom: "x" top: "y"', x=(2, 3))


@pytest.mark.parametrize("piece", [1, 60, 150, 10_000])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("size", "beta"), [(1, 0.75), (3, 0.6), (5, 0.75), (9, 0.75)])
def test_any_pieces_give_the_whole(
    monkeypatch: pytest.MonkeyPatch, piece: int, layout: torch.memory_format, size: int, beta: float
) -> None:
    """One row, some rows with some left over, a picture, all: torch's own operator is what they are held against."""
    monkeypatch.setattr(lrn_in_pieces, "_PIECE", piece)
    found = []
    for form in (across_channels, across_channels_plain):
        x = torch.as_tensor(X).double().contiguous(memory_format=layout).requires_grad_()
        y = form(x, size, 0.3, beta, 1.5)
        found.append((y, *torch.autograd.grad((y**3).sum(), x)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    assert found[0][0].is_contiguous(memory_format=layout)
