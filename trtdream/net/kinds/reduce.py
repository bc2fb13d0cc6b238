"""Kinds that make less of a blob: Reduction, ArgMax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import TYPE_CHECKING

from trtdream.net.kind import Kind, Phase, Shape, canonical_axis, layer_kind
from trtdream.net.parameters import Signed

if TYPE_CHECKING:
    from torch import Tensor


class ReductionOperation(StrEnum):
    SUM = "SUM"
    ASUM = "ASUM"
    SUMSQ = "SUMSQ"
    MEAN = "MEAN"


@layer_kind("Reduction", message="reduction_param")
@dataclass(frozen=True)
class Reduction(Kind):
    """The sum (of the numbers, their magnitudes or squares) or the mean from `axis` on, times `coeff`."""

    operation: ReductionOperation = ReductionOperation.SUM
    axis: Signed = 0
    coeff: float = 1.0

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        return [bottoms[0][: canonical_axis(self.axis, len(bottoms[0]))]]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        x = bottoms[0].flatten(canonical_axis(self.axis, bottoms[0].dim()))
        if self.operation is ReductionOperation.ASUM:
            x = x.abs()
        elif self.operation is ReductionOperation.SUMSQ:
            x = x * x
        reduced = x.mean(-1) if self.operation is ReductionOperation.MEAN else x.sum(-1)
        return [reduced * self.coeff]


@layer_kind("ArgMax", message="argmax_param", v1="ARGMAX")
@dataclass(frozen=True)
class ArgMax(Kind):
    """The indices of the `top_k` greatest numbers along an axis, or over each whole sample.

    Without an axis the top is N x 1 x top_k, or with `out_max_val` N x 2 x top_k: indices, then values.
    """

    out_max_val: bool = False
    top_k: int = 1
    axis: Signed | None = None

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        (bottom,) = bottoms
        available = prod(bottom[1:]) if self.axis is None else bottom[canonical_axis(self.axis, len(bottom))]
        if not 1 <= self.top_k <= available:
            raise ValueError(f"top_k {self.top_k} must be between 1 and {available}")
        if self.axis is None:
            return [(bottom[0], 2 if self.out_max_val else 1, self.top_k, *[1] * (len(bottom) - 3))]
        shape = list(bottom)
        shape[canonical_axis(self.axis, len(bottom))] = self.top_k
        return [tuple(shape)]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        import torch

        x = bottoms[0]
        if self.axis is not None:
            values, indices = _greatest(x, self.top_k, canonical_axis(self.axis, x.dim()))
            return [values if self.out_max_val else indices.to(x.dtype)]
        values, indices = _greatest(x.reshape(x.shape[0], -1), self.top_k, 1)
        rows = [indices.to(x.dtype), values] if self.out_max_val else [indices.to(x.dtype)]
        return [torch.stack(rows, 1).reshape(self.top_shapes([tuple(x.shape)], 1)[0])]


def _greatest(x: Tensor, count: int, axis: int) -> tuple[Tensor, Tensor]:
    """Values and indices of the greatest numbers along an axis; of equal ones the last comes first, as in Caffe."""
    values, indices = x.flip(axis).sort(dim=axis, descending=True, stable=True)
    return values.narrow(axis, 0, count), x.shape[axis] - 1 - indices.narrow(axis, 0, count)
