"""Convolutions in other forms than torch's own, equal to it in real arithmetic."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, conv_transpose2d, pad

Pair = tuple[int, int]


def conv2d_by_depth(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
    """`conv2d` with its stride turned into channels: blocks of stride x stride positions become one position.

    A GPU's matrix units want many channels, which a picture has not: CaffeNet's 11 x 11 with stride 4 on 3 channels
    becomes 3 x 3 with stride 1 on 48 (the kernel padded to 12 x 12 with zeros).

    Args:
        x: N x C x H x W.
        weight: M x C x kernel height x kernel width.
    """
    sides = list(zip(x.shape[2:], weight.shape[2:], stride, padding, strict=True))
    kernels = [-(-k // s) for _, k, s, _ in sides]
    outs = [(size + 2 * p - k) // s + 1 for size, k, s, p in sides]
    after = [s * (out - 1 + k) - size - p for (size, _, s, p), out, k in zip(sides, outs, kernels, strict=True)]
    lacking = [k * s - side for side, k, s in zip(weight.shape[2:], kernels, stride, strict=True)]
    blocks = _to_depth(pad(x, (padding[1], after[1], padding[0], after[0])), stride)  # less than 0 cuts off
    return conv2d(blocks, _to_depth(pad(weight, (0, lacking[1], 0, lacking[0])), stride), bias)


def conv2d_by_group(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Tensor:
    """`conv2d` with groups, one convolution each."""
    biases = [None] * groups if bias is None else bias.chunk(groups)
    parts = zip(x.chunk(groups, 1), weight.chunk(groups), biases, strict=True)
    return torch.cat([conv2d(part, w, b, stride, padding, dilation) for part, w, b in parts], 1)


def conv2d_with_narrow_gradient(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    narrow: Tensor,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Tensor:
    """`conv2d`, whose gradient is taken in the type of `narrow`, the same weight in float16 or bfloat16.

    Only x gets one. What a network decides (which of a pool's places wins, where a ReLU is open) is decided by the
    values: rounded ones send whole gradients elsewhere, rounded gradients are merely rounded. Measured as relative L2
    at GoogLeNet's inception_4c/output: 0.001 (float16), 0.008 (bfloat16); with values rounded as well 0.06 and 0.17.
    """
    y: Tensor = _NarrowGradient.apply(x, weight, bias, narrow, (stride, padding, dilation, groups))
    return y


class _NarrowGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, narrow: Tensor, geometry: Any) -> Tensor:
        stride, padding, dilation, _ = geometry
        ctx.save_for_backward(narrow)
        sides = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
        left = tuple((size + 2 * p - d * (k - 1) - 1) % s for size, k, s, p, d in sides)  # that no window reaches
        ctx.geometry, ctx.left = geometry, left
        return conv2d(x, weight, bias, *geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (narrow,), (gradient,) = ctx.saved_tensors, gradients
        stride, padding, dilation, groups = ctx.geometry
        down = conv_transpose2d(gradient.to(narrow.dtype), narrow, None, stride, padding, ctx.left, groups, dilation)
        return down.to(gradient.dtype), None, None, None, None


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
