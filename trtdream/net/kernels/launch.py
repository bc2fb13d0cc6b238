"""What the kernels share: what they take, and how a channels_last tensor is cut into tiles."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

_TILE = 1024  # elements
_MOST_CHANNELS = 128
_MOST_ELEMENTS = 2**31 - _TILE


def takes(x: Tensor) -> bool:
    """Whether a kernel can work on x: it computes in float32 and counts in 32 bits."""
    return x.dtype.itemsize <= 4 and x.numel() < _MOST_ELEMENTS


@dataclass(frozen=True)
class Tiles:
    """Tiles of `sides`, positions x channels, over a map of so many positions (`spots`) in all its pictures."""

    spots: int
    grid: tuple[int, int]
    sides: tuple[int, int]


def tiles_over(x: Tensor) -> Tiles:
    """Tiles of 1024 elements that have no channels to spare; x is N x C x H x W."""
    channels = x.shape[1]
    across = min(channels & -channels, _MOST_CHANNELS)  # the greatest power of two that divides their number
    spots, down = x.numel() // channels, _TILE // across
    return Tiles(spots, (-(-spots // down), channels // across), (down, across))


def on_device_of(x: Tensor) -> AbstractContextManager[object]:
    """Triton launches on the current device, whatever the tensors lie on."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def like(x: Tensor) -> Tensor:
    """Uninitialised, of the shape and type of x, in channels_last."""
    return torch.empty_like(x, memory_format=torch.channels_last)
