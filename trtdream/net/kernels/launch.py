"""What the kernels share: a thread an element of a channels_last tensor."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

BLOCK = 1024

_MOST_ELEMENTS = 2**31 - BLOCK


def takes(x: Tensor) -> bool:
    """Whether a kernel can work on x: it computes in float32 and counts in 32 bits."""
    return x.dtype.itemsize <= 4 and x.numel() < _MOST_ELEMENTS


def grid_over(x: Tensor) -> tuple[int]:
    return (-(-x.numel() // BLOCK),)


def on_device_of(x: Tensor) -> AbstractContextManager[object]:
    """Triton launches on the current device, whatever the tensors lie on."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def like(x: Tensor) -> Tensor:
    """Uninitialised, of the shape and type of x, in channels_last."""
    return torch.empty_like(x, memory_format=torch.channels_last)
