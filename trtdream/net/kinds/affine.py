"""Scale and Bias: multiply by or add a weight, or a second bottom, along some axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trtdream.net.kind import Kind, Phase, Reach, Shape, Weight, canonical_axis, layer_kind
from trtdream.net.parameters import Filler, Signed

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer


@dataclass(frozen=True)
class _Along(Kind):
    """A factor or summand laid along `num_axes` axes from `axis` on (-1: all that follow)."""

    axis: Signed = 1
    num_axes: Signed = 1

    bottoms = (1, 2)
    may_be_in_place = True

    def reach(self) -> Reach | None:
        return Reach() if self.axis == 1 and self.num_axes == 1 else None

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        self._axes(bottoms)
        return [bottoms[0]]

    def _axes(self, bottoms: Sequence[Shape]) -> tuple[int, Shape]:
        """The first axis, and the shape laid along it."""
        first, num_axes = bottoms[0], self.num_axes
        if len(bottoms) == 2 and not bottoms[1]:
            return 0, ()
        start = canonical_axis(self.axis, len(first))
        if len(bottoms) == 2:
            along = bottoms[1]
        else:
            along = first[start:] if num_axes == -1 else first[start : start + num_axes]
            if not -1 <= num_axes <= len(first) - start:
                raise ValueError(f"num_axes {num_axes} from axis {start} on does not exist in {first}")
        if first[start : start + len(along)] != along:
            raise ValueError(f"shape {along} does not fit {first} from axis {start} on")
        return start, along


@layer_kind("Scale", message="scale_param")
@dataclass(frozen=True)
class Scale(_Along):
    """x times a learned factor (or the second bottom), plus a learned bias if asked."""

    filler: Filler = Filler(value=1.0)
    bias_term: bool = False
    bias_filler: Filler = Filler()

    def weights(self, bottoms: Sequence[Shape]) -> Sequence[Weight]:
        _, along = self._axes(bottoms)
        factor = [Weight(along, self.filler)] if len(bottoms) == 1 else []
        bias = [Weight(along, self.bias_filler)] if self.bias_term else []
        return [*factor, *bias]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        start, _ = self._axes([tuple(b.shape) for b in bottoms])
        factor = bottoms[1] if len(bottoms) == 2 else weights[0]
        y = bottoms[0] * _spread(factor, start, bottoms[0])
        return [y + _spread(weights[-1], start, y) if self.bias_term else y]

    def to_onnx(self, layer: OnnxLayer) -> None:
        start, _ = self._axes([b.shape for b in layer.bottoms])
        if not self.bias_term:
            layer.top("Mul", layer.bottoms[0].name, _along(layer, "factor", start))
            return
        product = layer.part("product", "Mul", layer.bottoms[0].name, _along(layer, "factor", start))
        bias = _spread_array(layer.weights[-1], start, len(layer.bottoms[0].shape))
        layer.top("Add", product, layer.constant("bias", bias))


@layer_kind("Bias", message="bias_param")
@dataclass(frozen=True)
class Bias(_Along):
    """x plus a learned bias, or the second bottom."""

    filler: Filler = Filler()

    def weights(self, bottoms: Sequence[Shape]) -> Sequence[Weight]:
        _, along = self._axes(bottoms)
        return [Weight(along, self.filler)] if len(bottoms) == 1 else []

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        start, _ = self._axes([tuple(b.shape) for b in bottoms])
        summand = bottoms[1] if len(bottoms) == 2 else weights[0]
        return [bottoms[0] + _spread(summand, start, bottoms[0])]

    def to_onnx(self, layer: OnnxLayer) -> None:
        start, _ = self._axes([b.shape for b in layer.bottoms])
        layer.top("Add", layer.bottoms[0].name, _along(layer, "summand", start))


def _spread(along: Tensor, start: int, x: Tensor) -> Tensor:
    """`along`, with dimensions of 1 behind it, so that it broadcasts over x from axis `start` on."""
    return along.reshape(*along.shape, *[1] * (x.dim() - start - along.dim()))


def _spread_array(along: np.ndarray, start: int, dimensions: int) -> np.ndarray:
    return along.reshape(*along.shape, *[1] * (dimensions - start - along.ndim))


def _along(layer: OnnxLayer, part: str, start: int) -> str:
    """The second bottom, or else the first weight, so shaped that it broadcasts over the first bottom."""
    dimensions = len(layer.bottoms[0].shape)
    if len(layer.bottoms) == 1:
        return layer.constant(part, _spread_array(layer.weights[0], start, dimensions))
    second = layer.bottoms[1]
    missing = range(len(second.shape), dimensions - start)
    if not missing:
        return second.name
    return layer.part(part, "Unsqueeze", second.name, layer.constant(f"{part}_axes", np.array(missing)))
