"""Max pooling that remembers the winner's place in its window as a byte, and a gradient that gathers.

Every input looks up the windows it lies in: no two threads add to one number, so the result is always the same. A tile
is some positions of the map by some channels, so that a position's place in the windows is worked out once for many
channels.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from trtdream.net.kernels.launch import channels_last, on_device_of, tiles_over
from trtdream.net.kernels.launch import takes as takes_tensor
from trtdream.net.maths.pooling import Window

_NOBODY = tl.constexpr(255)  # the place of the winner of a window that lies wholly outside


def takes(x: Tensor, window: Window) -> bool:
    """Whether the kernels can do it: a place in the window must fit in a byte."""
    return takes_tensor(x) and window.kernel[0] * window.kernel[1] <= 255


def max_pool(x: Tensor, window: Window) -> Tensor:
    """As `trtdream.net.maths.pooling.max_pool`: the first of equal numbers wins; NaN wins always."""
    geometry = [*window.kernel, *window.stride, *window.pad, *window.out]
    return torch.ops.trtdream.max_pool(x, geometry)[0]


@triton.jit
def _forward_kernel(  # type: ignore[no-untyped-def]
    x_ptr, y_ptr, place_ptr, spots, channels, height, width, out_height, out_width, least,
    KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr, PH: tl.constexpr, PW: tl.constexpr,
    SPOTS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    spot = tl.program_id(0) * SPOTS + tl.arange(0, SPOTS)[:, None]
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    inside, at = spot < spots, spot * channels + channel
    top = (spot // out_width) % out_height * SH - PH
    left = spot % out_width * SW - PW
    picture = spot // (out_width * out_height) * height
    best = tl.full((SPOTS, CHANNELS), float("-inf"), tl.float32)
    place = tl.full((SPOTS, CHANNELS), _NOBODY, tl.int32)
    for i in tl.static_range(KH):
        for j in tl.static_range(KW):
            row, column = top + i, left + j
            on_map = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            source = ((picture + row) * width + column) * channels + channel
            x = tl.load(x_ptr + source, mask=on_map, other=0.0).to(tl.float32)
            wins = on_map & ((x > best) | (x != x) | (place == _NOBODY))
            best = tl.where(wins, x, best)
            place = tl.where(wins, i * KW + j, place)
    best = tl.where(place == _NOBODY, least, best)
    tl.store(y_ptr + at, best.to(y_ptr.dtype.element_ty), mask=inside)
    tl.store(place_ptr + at, place.to(tl.uint8), mask=inside)


@triton.jit
def _backward_kernel(  # type: ignore[no-untyped-def]
    dy_ptr, place_ptr, dx_ptr, spots, channels, height, width, out_height, out_width,
    KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr, PH: tl.constexpr, PW: tl.constexpr,
    SPOTS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    spot = tl.program_id(0) * SPOTS + tl.arange(0, SPOTS)[:, None]
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    inside, at = spot < spots, spot * channels + channel
    row, column = (spot // width) % height + PH, spot % width + PW
    picture = spot // (width * height) * out_height
    total = tl.zeros((SPOTS, CHANNELS), tl.float32)
    for a in tl.static_range((KH + SH - 1) // SH):
        for b in tl.static_range((KW + SW - 1) // SW):
            window_row, window_column = row // SH - a, column // SW - b
            i, j = row - window_row * SH, column - window_column * SW
            covers = inside & (i < KH) & (j < KW)
            covers &= (window_row >= 0) & (window_row < out_height) & (window_column >= 0) & (window_column < out_width)
            source = ((picture + window_row) * out_width + window_column) * channels + channel
            place = tl.load(place_ptr + source, mask=covers, other=_NOBODY).to(tl.int32)
            dy = tl.load(dy_ptr + source, mask=covers, other=0.0).to(tl.float32)  # all, so that whole rows are loaded
            total += tl.where(place == i * KW + j, dy, 0.0)
    tl.store(dx_ptr + at, total.to(dx_ptr.dtype.element_ty), mask=inside)


@torch.library.custom_op("trtdream::max_pool", mutates_args=(), schema="(Tensor x, int[] geometry) -> (Tensor, Tensor)")
def _max_pool(x: Tensor, geometry: list[int]) -> tuple[Tensor, Tensor]:
    x = channels_last(x)
    y, places = _tops(x, geometry)
    least = torch.finfo(x.dtype).min
    with on_device_of(x):
        tiles = tiles_over(y)
        _forward_kernel[tiles.grid](
            x, y, places, tiles.spots, *x.shape[1:], *geometry[6:], least, *geometry[:6], *tiles.sides
        )
    return y, places


@torch.library.custom_op(
    "trtdream::max_pool_backward",
    mutates_args=(),
    schema="(Tensor dy, Tensor places, int[] geometry, int height, int width) -> Tensor",
)
def _max_pool_backward(dy: Tensor, places: Tensor, geometry: list[int], height: int, width: int) -> Tensor:
    dy = channels_last(dy)
    dx = _bottom(dy, height, width)
    with on_device_of(dy):
        tiles = tiles_over(dx)
        _backward_kernel[tiles.grid](
            dy, places, dx, tiles.spots, *dx.shape[1:], *geometry[6:], *geometry[:6], *tiles.sides
        )
    return dx


def _tops(x: Tensor, geometry: list[int]) -> tuple[Tensor, Tensor]:
    shape = *x.shape[:2], *geometry[6:]
    return _empty(shape, x, x.dtype), _empty(shape, x, torch.uint8)


def _bottom(dy: Tensor, height: int, width: int) -> Tensor:
    return _empty((*dy.shape[:2], height, width), dy, dy.dtype)


def _empty(shape: tuple[int, ...], beside: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, device=beside.device, dtype=dtype, memory_format=torch.channels_last)


@_max_pool.register_fake
def _(x: Tensor, geometry: list[int]) -> tuple[Tensor, Tensor]:
    return _tops(x, geometry)


@_max_pool_backward.register_fake
def _(dy: Tensor, places: Tensor, geometry: list[int], height: int, width: int) -> Tensor:
    return _bottom(dy, height, width)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, ctx.geometry = inputs
    ctx.sides = x.shape[2:]
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


def _gradient(ctx: Any, dy: Tensor, _: None) -> tuple[Tensor, None]:
    return torch.ops.trtdream.max_pool_backward(dy, *ctx.saved_tensors, ctx.geometry, *ctx.sides), None


_max_pool.register_autograd(_gradient, setup_context=_keep)
