"""Convolutions in other forms than torch's own, equal to it in real arithmetic; `depth.py` has those by depth."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d

Pair = tuple[int, int]


def conv2d_by_group(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Tensor:
    """`conv2d` with groups, one convolution each."""
    biases = [None] * groups if bias is None else bias.chunk(groups)
    parts = zip(x.chunk(groups, 1), weight.chunk(groups), biases, strict=True)
    return torch.cat([conv2d(part, w, b, stride, padding, dilation) for part, w, b in parts], 1)
