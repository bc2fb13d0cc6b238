"""Pooling with Caffe's windows, in torch.

Torch's own operators are used where they mean the same; elsewhere (a padding of more than half the kernel, a last
window that lies wholly outside the map) the map is padded by hand first.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, pad

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Where the windows lie; every pair is (height, width).

    over: the map's sides. out: the number of windows along each side.
    """

    over_sides: Pair
    kernel: Pair
    stride: Pair
    pad: Pair
    out: Pair

    @classmethod
    def over(cls, sides: Pair, kernel: Pair, stride: Pair, pad: Pair, ceil: bool) -> Window:
        """Count the windows by Caffe's rule (pooling_layer.cpp).

        Sizes round up; where there is padding, a last window that would start at or beyond the map and its left
        padding is dropped.

        Raises:
            ValueError: the map is smaller than the kernel.
        """
        out = []
        for size, k, s, p in zip(sides, kernel, stride, pad, strict=True):
            span = size + 2 * p - k
            count = (-(-span // s) if ceil else span // s) + 1
            if any(pad) and (count - 1) * s >= size + p:
                count -= 1
            if count < 1:
                raise ValueError(f"a side of {size} (padded {size + 2 * p}) is less than the kernel's {k}")
            out.append(count)
        return cls(sides, kernel, stride, pad, (out[0], out[1]))

    @property
    def overhang(self) -> Pair:
        """How far the last window reaches beyond map and left padding; negative where some of the map is left over."""
        return (self._overhang(0), self._overhang(1))

    def _overhang(self, side: int) -> int:
        reach = (self.out[side] - 1) * self.stride[side] + self.kernel[side]
        return reach - self.over_sides[side] - self.pad[side]

    @property
    def torch_agrees(self) -> bool:
        """Whether torch's operators in ceil mode have just these windows."""
        return all(
            2 * p <= k and count == _torch_count(size, k, s, p)
            for size, k, s, p, count in zip(self.over_sides, self.kernel, self.stride, self.pad, self.out, strict=True)
        )


def max_pool(x: Tensor, window: Window) -> Tensor:
    """Maximum over each window of x, N x C x H x W; padding never wins, an empty window gives the least number."""
    return _max_pool(x, window)[0]


def max_pool_with_mask(x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """`max_pool` and the winner's index y * W + x within its channel, as floats."""
    values, index = _max_pool(x, window)
    if not window.torch_agrees:
        (_, width), (top, left) = window.over_sides, window.pad
        padded_width = width + left + max(window.overhang[1], 0)
        rows = torch.div(index, padded_width, rounding_mode="floor") - top
        index = rows * width + index % padded_width - left
    return values, index.to(x.dtype)


def average_pool(x: Tensor, window: Window) -> Tensor:
    """Average over each window of x, N x C x H x W.

    The divisor counts the padding, but not what a last window has beyond it. A window wholly outside has an extent of 0
    or less, by which Caffe divides its empty sum all the same: NaN or (minus) 0.
    """
    if window.torch_agrees:
        return avg_pool2d(x, window.kernel, window.stride, window.pad, ceil_mode=True, count_include_pad=True)
    summed = avg_pool2d(pad(x, _padding(window)), window.kernel, window.stride, divisor_override=1)[
        ..., : window.out[0], : window.out[1]
    ]
    divisor = torch.outer(_counted(window, 0, x), _counted(window, 1, x))
    return summed / divisor


def _max_pool(x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Values, and the winners' indices in the map or, where torch does not agree, in the padded map."""
    if window.torch_agrees:
        return max_pool2d(x, window.kernel, window.stride, window.pad, ceil_mode=True, return_indices=True)
    padded = pad(x, _padding(window), value=torch.finfo(x.dtype).min)
    values, index = max_pool2d(padded, window.kernel, window.stride, return_indices=True)
    height, width = window.out
    return values[..., :height, :width], index[..., :height, :width]


def _padding(window: Window) -> tuple[int, int, int, int]:
    """torch's order: left, right, top, bottom."""
    (top, left), (below, beyond) = window.pad, window.overhang
    return left, max(beyond, 0), top, max(below, 0)


def _counted(window: Window, side: int, like: Tensor) -> Tensor:
    """For each window along one side: its extent clipped to [-pad, size + pad)."""
    start = torch.arange(window.out[side], device=like.device) * window.stride[side] - window.pad[side]
    end = (start + window.kernel[side]).clamp(max=window.over_sides[side] + window.pad[side])
    return (end - start).to(like.dtype)


def _torch_count(size: int, kernel: int, stride: int, pad: int) -> int:
    count = -(-(size + 2 * pad - kernel) // stride) + 1
    return count - 1 if (count - 1) * stride >= size + pad else count
