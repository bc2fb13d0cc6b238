"""Kinds with several bottoms or tops: Eltwise, Concat, Slice, Split, Silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from trtdream.net.kind import MANY, Kind, Phase, Reach, Shape, canonical_axis, layer_kind
from trtdream.net.parameters import Signed

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer


class EltwiseOperation(StrEnum):
    PROD = "PROD"
    SUM = "SUM"
    MAX = "MAX"


@layer_kind("Eltwise", message="eltwise_param", v1="ELTWISE")
@dataclass(frozen=True)
class Eltwise(Kind):
    """The weighted sum, the product or the maximum of bottoms of one shape."""

    operation: EltwiseOperation = EltwiseOperation.SUM
    coeff: tuple[float, ...] = ()
    stable_prod_grad: bool = True

    bottoms = (2, MANY)
    may_be_in_place = True

    def reach(self) -> Reach:
        return Reach()

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        if len(set(bottoms)) > 1:
            raise ValueError(f"its bottoms differ in shape: {', '.join(map(str, bottoms))}")
        if self.coeff and len(self.coeff) != len(bottoms):
            raise ValueError(f"{len(self.coeff)} coefficients for {len(bottoms)} bottoms")
        if self.coeff and self.operation is not EltwiseOperation.SUM:
            raise ValueError("coefficients go with operation SUM only")
        return [bottoms[0]]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        import torch

        if self.operation is EltwiseOperation.PROD:
            return [reduce(torch.mul, bottoms)]
        if self.operation is EltwiseOperation.MAX:
            # Of equal bottoms one gets the whole gradient, as in Caffe: the second of the first two, else the earlier.
            first = torch.where(bottoms[0] > bottoms[1], bottoms[0], bottoms[1])
            return [reduce(lambda most, x: torch.where(x > most, x, most), bottoms[2:], first)]
        coefficients = self.coeff or (1.0,) * len(bottoms)
        scaled = [x if c == 1 else x * c for c, x in zip(coefficients, bottoms, strict=True)]
        return [reduce(torch.add, scaled)]

    def to_onnx(self, layer: OnnxLayer) -> None:
        names = [bottom.name for bottom in layer.bottoms]
        if self.coeff:
            pairs = enumerate(zip(names, self.coeff, strict=True))
            names = [
                x if c == 1 else layer.part(f"scaled_{i}", "Mul", x, layer.constant(f"coeff_{i}", c))
                for i, (x, c) in pairs
            ]
        operator = {"SUM": "Add", "PROD": "Mul", "MAX": "Max"}[self.operation]
        so_far = names[0]
        for index, name in enumerate(names[1:-1]):
            so_far = layer.part(f"so_far_{index}", operator, so_far, name)
        layer.top(operator, so_far, names[-1])


@layer_kind("Concat", message="concat_param", v1="CONCAT")
@dataclass(frozen=True)
class Concat(Kind):
    """The bottoms one after the other along an axis."""

    axis: Signed = 1
    concat_dim: int | None = None

    bottoms = (1, MANY)

    def reach(self) -> Reach | None:
        axis = self.axis if self.concat_dim is None else self.concat_dim
        return Reach() if axis in (1, -3) else None

    def check(self) -> None:
        if self.concat_dim is not None and self.axis != 1:
            raise ValueError("give axis or the older concat_dim, not both")

    def _axis(self, bottom: Shape) -> int:
        return canonical_axis(self.axis if self.concat_dim is None else self.concat_dim, len(bottom))

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        axis = self._axis(bottoms[0])
        if len({(len(b), *b[:axis], *b[axis + 1 :]) for b in bottoms}) > 1:
            raise ValueError(f"its bottoms differ in more than axis {axis}: {', '.join(map(str, bottoms))}")
        return [(*bottoms[0][:axis], sum(b[axis] for b in bottoms), *bottoms[0][axis + 1 :])]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        import torch

        return [torch.cat(list(bottoms), self._axis(tuple(bottoms[0].shape)))]

    def to_onnx(self, layer: OnnxLayer) -> None:
        axis = self._axis(layer.bottoms[0].shape)
        layer.top("Concat", *(bottom.name for bottom in layer.bottoms), axis=axis)


@layer_kind("Slice", message="slice_param", v1="SLICE")
@dataclass(frozen=True)
class Slice(Kind):
    """The bottom cut along an axis, at the slice points or into equal parts."""

    axis: Signed = 1
    slice_point: tuple[int, ...] = ()
    slice_dim: int | None = None

    tops = (1, MANY)

    def reach(self) -> Reach | None:
        axis = self.axis if self.slice_dim is None else self.slice_dim
        return Reach() if axis in (1, -3) else None

    def check(self) -> None:
        if self.slice_dim is not None and self.axis != 1:
            raise ValueError("give axis or the older slice_dim, not both")

    def _axis(self, bottom: Shape) -> int:
        return canonical_axis(self.axis if self.slice_dim is None else self.slice_dim, len(bottom))

    def _sizes(self, bottom: Shape, tops: int) -> list[int]:
        length = bottom[self._axis(bottom)]
        if not self.slice_point:
            if length % tops:
                raise ValueError(f"{length} cannot be cut into {tops} equal parts")
            return [length // tops] * tops
        bounds = (0, *self.slice_point, length)
        sizes = [end - start for start, end in pairwise(bounds)]
        if len(sizes) != tops or min(sizes) < 1:
            raise ValueError(f"slice points {self.slice_point} do not cut {length} into {tops} parts")
        return sizes

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        (bottom,) = bottoms
        axis = self._axis(bottom)
        return [(*bottom[:axis], size, *bottom[axis + 1 :]) for size in self._sizes(bottom, tops)]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        shape = tuple(bottoms[0].shape)
        return list(bottoms[0].split(self._sizes(shape, tops), self._axis(shape)))

    def to_onnx(self, layer: OnnxLayer) -> None:
        (x,) = layer.bottoms
        axis = self._axis(x.shape)
        x.fixed([axis])
        sizes = np.array(self._sizes(x.shape, len(layer.tops)))
        layer.all_tops("Split", x.name, layer.constant("sizes", sizes), axis=axis)


@layer_kind("Split", v1="SPLIT")
@dataclass(frozen=True)
class Split(Kind):
    """The bottom under several names (see `trtdream.net.splits`)."""

    tops = (1, MANY)

    def reach(self) -> Reach:
        return Reach()

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        return [bottoms[0]] * tops

    def to_onnx(self, layer: OnnxLayer) -> None:
        for index in range(len(layer.tops)):
            layer.top("Identity", layer.bottoms[0].name, index=index)


@layer_kind("Silence", v1="SILENCE")
@dataclass(frozen=True)
class Silence(Kind):
    """Takes blobs that nobody else wants, so that they are no outputs."""

    bottoms = (1, MANY)
    tops = (0, 0)

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        return []

    def to_onnx(self, layer: OnnxLayer) -> None:
        """Nothing: it has no tops."""
