"""Kinds that make less of a blob: Reduction, ArgMax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from trtdream.net.kind import Kind, Phase, Shape, canonical_axis, layer_kind
from trtdream.net.parameters import Signed

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer


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

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer = layer.wide()
        (bottom,) = layer.bottoms
        x = bottom.name
        if self.operation is ReductionOperation.ASUM:
            x = layer.part("magnitudes", "Abs", x)
        elif self.operation is ReductionOperation.SUMSQ:
            x = layer.part("squares", "Mul", x, x)
        operator = "ReduceMean" if self.operation is ReductionOperation.MEAN else "ReduceSum"
        axes = range(canonical_axis(self.axis, len(bottom.shape)), len(bottom.shape))
        reduced = layer.reduce("reduced", operator, x, axes, keep=False)
        layer.top("Mul", reduced, layer.constant("coeff", self.coeff))


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

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer = layer.wide()
        (bottom,) = layer.bottoms
        x, axis = bottom.name, 1
        if self.axis is None:
            bottom.fixed(range(1, len(bottom.shape)))
            x = layer.part("flat", "Flatten", x, axis=1)
            size = prod(bottom.shape[1:])
        else:
            axis = canonical_axis(self.axis, len(bottom.shape))
            (size,) = bottom.fixed([axis])
        values, indices = self._write_greatest(layer, x, axis, size)
        if self.axis is not None:
            layer.top("Identity", values if self.out_max_val else indices)
            return
        rows = layer.part("rows", "Concat", indices, values, axis=1) if self.out_max_val else indices
        layer.top("Reshape", rows, layer.constant("shape", layer.tops[0].target()))

    def _write_greatest(self, layer: OnnxLayer, x: str, axis: int, size: int) -> tuple[str, str]:
        """As `_greatest`: ONNX gives the first of equal numbers, so the axis is turned round before."""
        bounds = [layer.constant(name, np.array([at])) for name, at in (("from", -1), ("to", -size - 1))]
        axes, step = layer.constant("axis", np.array([axis])), layer.constant("step", np.array([-1]))
        turned = layer.part("turned", "Slice", x, *bounds, axes, step)
        values, places = layer.parts(
            ("values", "places"), "TopK", turned, layer.constant("k", np.array([self.top_k])), axis=axis
        )
        last = layer.constant("last", float(size - 1))
        return values, layer.part("indices", "Sub", last, layer.cast("places_float", places))


def _greatest(x: Tensor, count: int, axis: int) -> tuple[Tensor, Tensor]:
    """Values and indices of the greatest numbers along an axis; of equal ones the last comes first, as in Caffe."""
    values, indices = x.flip(axis).sort(dim=axis, descending=True, stable=True)
    return values.narrow(axis, 0, count), x.shape[axis] - 1 - indices.narrow(axis, 0, count)
