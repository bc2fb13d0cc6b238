"""Convolutions in other forms than torch's own, equal to it in real arithmetic; `depth.py` has those by depth."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, conv_transpose2d

Pair = tuple[int, int]


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
    values: rounded ones send whole gradients elsewhere, rounded gradients are merely rounded.
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
