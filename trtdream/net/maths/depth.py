"""Strided convolutions on few channels as convolutions of stride 1 on many, and back.

Blocks of stride x stride positions become one position ("space to depth"): CaffeNet's 11 x 11 with stride 4 on 3
channels becomes 3 x 3 with stride 1 on 48, the kernel padded to 12 x 12 with zeros. All of it equals torch's own
convolution in real arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, pad

Pair = tuple[int, int]

_VECTOR = 16  # oneDNN computes this many output channels in the time of fewer


def conv2d_by_depth(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
    """`conv2d` by depth: a GPU's matrix units want many channels, which a picture has not.

    Args:
        x: N x C x H x W.
        weight: M x C x kernel height x kernel width.
    """
    geometry = zip(x.shape[2:], weight.shape[2:], stride, padding, strict=True)
    out = [(side + 2 * p - k) // s + 1 for side, k, s, p in geometry]
    around = _around(x.shape[2:], out, weight.shape[2:], stride, padding)
    return conv2d(_to_depth(pad(x, around), stride), _weight_to_depth(weight, stride), bias)


def conv2d_with_gradient_by_depth(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
) -> Tensor:
    """`conv2d`, of which only the gradient to x goes by depth: on a CPU that takes half the time.

    Args:
        x: N x C x H x W.
        weight: M x C x kernel height x kernel width.
    """
    return _GradientByDepth.apply(x, weight, bias, stride, padding)


class _GradientByDepth(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return conv2d(x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        (dy,), (x, weight) = gradients, ctx.saved_tensors
        to_x, *to_others = ctx.needs_input_grad[:3]
        dx = _gradient_by_depth(dy, weight, x.shape[2:], ctx.stride, ctx.padding) if to_x else None
        if not any(to_others):
            return dx, None, None, None, None
        geometry = (ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1)
        _, dw, db = torch.ops.aten.convolution_backward(dy, x, weight, [len(weight)], *geometry, [False, *to_others])
        return dx, dw, db, None, None


def _gradient_by_depth(dy: Tensor, weight: Tensor, sides: Sequence[int], stride: Pair, padding: Pair) -> Tensor:
    """The gradient, N x C x sides, from that of the convolution's output."""
    back = _weight_to_depth(weight, stride).transpose(0, 1).flip(2, 3)
    back = pad(back, (0, 0, 0, 0, 0, 0, 0, -len(back) % _VECTOR)).contiguous(memory_format=torch.channels_last)
    blocks = conv2d(dy, back, padding=(back.shape[2] - 1, back.shape[3] - 1))
    around = _around(sides, dy.shape[2:], weight.shape[2:], stride, padding)
    return pad(_from_depth(blocks, weight.shape[1], stride), [-margin for margin in around])


def _around(sides: Sequence[int], out: Sequence[int], kernel: Sequence[int], stride: Pair, padding: Pair) -> list[int]:
    """Left, right, top, bottom: what is to be added to a map so that it is all blocks; less than 0 cuts off."""
    margins = []
    for side, count, k, s, p in zip(sides, out, kernel, stride, padding, strict=True):
        margins.append((p, s * (count - 1 + _blocks(k, s)) - side - p))
    (top, bottom), (left, right) = margins
    return [left, right, top, bottom]


def _blocks(kernel: int, stride: int) -> int:
    return -(-kernel // stride)


def _weight_to_depth(weight: Tensor, stride: Pair) -> Tensor:
    lacking = [_blocks(k, s) * s - k for k, s in zip(weight.shape[2:], stride, strict=True)]
    return _to_depth(pad(weight, (0, lacking[1], 0, lacking[0])), stride)


def _to_depth(x: Tensor, block: Pair) -> Tensor:
    """N x C x H x W to N x (block height, block width, C) x H / block height x W / block width, in the layout of x.

    C stays innermost, so that in channels_last whole rows of a block are copied at a time.
    """
    count, channels, height, width = x.shape
    down, across = block
    down_by, across_by = height // down, width // across
    parts = x.view(count, channels, down_by, down, across_by, across)
    if x.is_contiguous(memory_format=torch.channels_last):
        rows = parts.permute(0, 2, 4, 3, 5, 1).reshape(count, down_by, across_by, down * across * channels)
        return rows.permute(0, 3, 1, 2)
    return parts.permute(0, 3, 5, 1, 2, 4).reshape(count, down * across * channels, down_by, across_by)


def _from_depth(x: Tensor, channels: int, block: Pair) -> Tensor:
    """What `_to_depth` made such blocks of (their surplus channels are dropped), N x C x H x W in channels_last."""
    count, _, down_by, across_by = x.shape
    down, across = block
    rows = x[:, : down * across * channels].permute(0, 2, 3, 1)
    parts = rows.reshape(count, down_by, across_by, down, across, channels).permute(0, 1, 3, 2, 4, 5)
    return parts.reshape(count, down_by * down, across_by * across, channels).permute(0, 3, 1, 2)
