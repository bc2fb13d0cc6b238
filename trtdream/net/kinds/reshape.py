"""Kinds that move numbers without changing them: Flatten, Reshape, Crop, Tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from trtdream.net.kind import Kind, Phase, Shape, canonical_axis, layer_kind
from trtdream.net.parameters import BlobShape, Signed

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer


@layer_kind("Flatten", message="flatten_param", v1="FLATTEN")
@dataclass(frozen=True)
class Flatten(Kind):
    """Axes `axis` to `end_axis` made one."""

    axis: Signed = 1
    end_axis: Signed = -1

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        (bottom,) = bottoms
        start = canonical_axis(self.axis, len(bottom))
        end = canonical_axis(self.end_axis, len(bottom)) + 1
        if end <= start:
            raise ValueError(f"end_axis {self.end_axis} lies before axis {self.axis}")
        return [(*bottom[:start], prod(bottom[start:end]), *bottom[end:])]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        return [bottoms[0].flatten(self.axis, self.end_axis)]

    def to_onnx(self, layer: OnnxLayer) -> None:
        _write_reshape(layer)


@layer_kind("Reshape", message="reshape_param")
@dataclass(frozen=True)
class Reshape(Kind):
    """`num_axes` axes from `axis` on replaced by `shape`, where 0 copies a dimension and -1 takes what is left."""

    shape: BlobShape = BlobShape()
    axis: Signed = 0
    num_axes: Signed = -1

    def check(self) -> None:
        if self.shape.dim.count(-1) > 1:
            raise ValueError("only one dimension can be -1")
        if min(self.shape.dim, default=0) < -1:
            raise ValueError(f"dimensions {self.shape.dim} may be positive, 0 or -1")

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        (bottom,) = bottoms
        start = self.axis if self.axis >= 0 else len(bottom) + self.axis + 1
        end = len(bottom) if self.num_axes == -1 else start + self.num_axes
        if not 0 <= start <= end <= len(bottom):
            raise ValueError(f"axes {start} to {end} do not exist in {bottom}")
        middle = []
        for index, size in enumerate(self.shape.dim):
            if size == 0 and start + index >= len(bottom):
                raise ValueError(f"dimension {index} is 0 (copy), but {bottom} has no axis {start + index}")
            middle.append(bottom[start + index] if size == 0 else size)
        shape = [*bottom[:start], *middle, *bottom[end:]]
        known = prod(size for size in shape if size != -1)
        if -1 in shape and known and prod(bottom) % known == 0:
            shape[shape.index(-1)] = prod(bottom) // known
        if prod(shape) != prod(bottom) or -1 in shape:
            raise ValueError(f"{bottom} cannot be reshaped to {self.shape.dim}")
        return [tuple(shape)]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        return [bottoms[0].reshape(self.top_shapes([tuple(bottoms[0].shape)], 1)[0])]

    def to_onnx(self, layer: OnnxLayer) -> None:
        _write_reshape(layer)


@layer_kind("Crop", message="crop_param")
@dataclass(frozen=True)
class Crop(Kind):
    """The first bottom cut to the second's size from `axis` on, at `offset` (one for all axes, or one each)."""

    axis: Signed = 2
    offset: tuple[int, ...] = ()

    bottoms = (2, 2)

    def _cuts(self, bottoms: Sequence[Shape]) -> list[tuple[int, int, int]]:
        """(axis, offset, length) for each cropped axis."""
        first, second = bottoms
        start = canonical_axis(self.axis, len(first))
        axes = range(start, len(first))
        if len(second) != len(first) or len(self.offset) not in (0, 1, len(axes)):
            raise ValueError(f"offsets {self.offset} and shape {second} do not fit {first} from axis {start} on")
        offsets = (self.offset or (0,)) * (1 if len(self.offset) == len(axes) else len(axes))
        cuts = [(axis, offset, second[axis]) for axis, offset in zip(axes, offsets, strict=True)]
        for axis, offset, length in cuts:
            if offset + length > first[axis]:
                raise ValueError(f"axis {axis} has {first[axis]}, too few for {length} from {offset} on")
        return cuts

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        shape = list(bottoms[0])
        for axis, _, length in self._cuts(bottoms):
            shape[axis] = length
        return [tuple(shape)]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        x = bottoms[0]
        for axis, offset, length in self._cuts([tuple(b.shape) for b in bottoms]):
            x = x.narrow(axis, offset, length)
        return [x]

    def to_onnx(self, layer: OnnxLayer) -> None:
        first, second = layer.bottoms
        cuts = self._cuts([first.shape, second.shape])
        axes = [axis for axis, _, _ in cuts]
        second.fixed(axes)
        starts = np.array([offset for _, offset, _ in cuts])
        ends = np.array([offset + length for _, offset, length in cuts])
        parts = {"starts": starts, "ends": ends, "axes": np.array(axes)}
        layer.top("Slice", first.name, *(layer.constant(part, values) for part, values in parts.items()))


@layer_kind("Tile", message="tile_param")
@dataclass(frozen=True)
class Tile(Kind):
    """The bottom repeated `tiles` times along an axis."""

    axis: Signed = 1
    tiles: int = 0

    def check(self) -> None:
        if self.tiles < 1:
            raise ValueError("tiles must be at least 1")

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        shape = list(bottoms[0])
        shape[canonical_axis(self.axis, len(shape))] *= self.tiles
        return [tuple(shape)]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        repeats = [1] * bottoms[0].dim()
        repeats[canonical_axis(self.axis, len(repeats))] = self.tiles
        return [bottoms[0].repeat(repeats)]

    def to_onnx(self, layer: OnnxLayer) -> None:
        repeats = np.ones(len(layer.bottoms[0].shape), np.int64)
        repeats[canonical_axis(self.axis, len(repeats))] = self.tiles
        layer.top("Tile", layer.bottoms[0].name, layer.constant("repeats", repeats))


def _write_reshape(layer: OnnxLayer) -> None:
    layer.top("Reshape", layer.bottoms[0].name, layer.constant("shape", layer.tops[0].target()))
