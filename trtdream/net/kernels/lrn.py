"""LRN across channels in one pass over memory each way; the gradient computes the sums anew instead of keeping them."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from trtdream.net.kernels.launch import channels_last, like, on_device_of

_BLOCK = 256  # elements, two a thread: with more the unrolled sums outgrow the instruction cache


def across_channels(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """As `trtdream.net.maths.lrn.across_channels`: x is N x C x H x W; the maths is float32 whatever the type of x."""
    return torch.ops.trtdream.lrn(x, size, alpha, beta, k)


@triton.jit
def _scale(x_ptr, at, channel, inside, channels, factor, k, HALF: tl.constexpr):  # type: ignore[no-untyped-def]
    """k + factor * the sum of squares of the channels around `channel`, for elements at the offsets `at`."""
    total = tl.zeros_like(factor * at)
    for step in tl.static_range(-HALF, HALF + 1):
        near = inside & (channel + step >= 0) & (channel + step < channels)
        x = tl.load(x_ptr + at + step, mask=near, other=0.0).to(tl.float32)
        total += x * x
    return k + factor * total


@triton.jit
def _forward_kernel(x_ptr, y_ptr, count, channels, factor, beta, k, HALF: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    scale = _scale(x_ptr, at, at % channels, inside, channels, factor, k, HALF)
    x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
    y = x * tl.exp2(-beta * tl.log2(scale))
    tl.store(y_ptr + at, y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _backward_kernel(  # type: ignore[no-untyped-def]
    x_ptr, dy_ptr, dx_ptr, count, channels, factor, beta, k, HALF: tl.constexpr, BLOCK: tl.constexpr
):
    """dx = dy p - 2 beta factor x * the sum over neighbours of dy p x / scale, where p = scale ^ -beta."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside, channel = at < count, at % channels
    neighbours = tl.zeros_like(factor * at)
    own = tl.zeros_like(factor * at)
    for step in tl.static_range(-HALF, HALF + 1):
        near = inside & (channel + step >= 0) & (channel + step < channels)
        log_scale = tl.log2(_scale(x_ptr, at + step, channel + step, near, channels, factor, k, HALF))
        x = tl.load(x_ptr + at + step, mask=near, other=0.0).to(tl.float32)
        dy = tl.load(dy_ptr + at + step, mask=near, other=0.0).to(tl.float32)
        neighbours += dy * x * tl.exp2(-(beta + 1) * log_scale)
        if step == 0:
            own = dy * tl.exp2(-beta * log_scale)
    x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
    dx = own - 2 * beta * factor * x * neighbours
    tl.store(dx_ptr + at, dx.to(dx_ptr.dtype.element_ty), mask=inside)


@torch.library.custom_op(
    "trtdream::lrn", mutates_args=(), schema="(Tensor x, int size, float alpha, float beta, float k) -> Tensor"
)
def _lrn(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    x = channels_last(x)
    y = like(x)
    with on_device_of(x):
        _forward_kernel[_grid(x)](
            x, y, x.numel(), x.shape[1], alpha / size, beta, k, HALF=(size - 1) // 2, BLOCK=_BLOCK
        )
    return y


@torch.library.custom_op(
    "trtdream::lrn_backward",
    mutates_args=(),
    schema="(Tensor dy, Tensor x, int size, float alpha, float beta, float k) -> Tensor",
)
def _lrn_backward(dy: Tensor, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    x, dy = channels_last(x), channels_last(dy)
    dx = like(x)
    with on_device_of(x):
        _backward_kernel[_grid(x)](
            x, dy, dx, x.numel(), x.shape[1], alpha / size, beta, k, HALF=(size - 1) // 2, BLOCK=_BLOCK
        )
    return dx


def _grid(x: Tensor) -> tuple[int]:
    return (-(-x.numel() // _BLOCK),)


@_lrn.register_fake
def _(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    return like(x)


@_lrn_backward.register_fake
def _(dy: Tensor, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    return like(x)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.parameters = inputs[1:]


def _gradient(ctx: Any, dy: Tensor) -> tuple[Tensor, None, None, None, None]:
    return torch.ops.trtdream.lrn_backward(dy, *ctx.saved_tensors, *ctx.parameters), None, None, None, None


_lrn.register_autograd(_gradient, setup_context=_keep)
