"""Softmax, Dropout and Accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from trtdream.net.kind import Kind, Phase, Reach, Shape, canonical_axis, layer_kind
from trtdream.net.parameters import Engine, Signed

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer


@layer_kind("Softmax", message="softmax_param", v1="SOFTMAX")
@dataclass(frozen=True)
class Softmax(Kind):
    """e^x over the sum of e^x along an axis."""

    engine: Engine = Engine.DEFAULT
    axis: Signed = 1

    may_be_in_place = True

    def reach(self) -> Reach | None:
        return Reach() if self.axis in (1, -3) else None

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        canonical_axis(self.axis, len(bottoms[0]))
        return [bottoms[0]]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        return [bottoms[0].softmax(self.axis)]

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer = layer.wide()
        layer.top("Softmax", layer.bottoms[0].name, axis=canonical_axis(self.axis, len(layer.bottoms[0].shape)))


@layer_kind("Dropout", message="dropout_param", v1="DROPOUT")
@dataclass(frozen=True)
class Dropout(Kind):
    """In TRAIN each number is zeroed with probability `dropout_ratio`, the others grow by 1 / (1 - ratio)."""

    dropout_ratio: float = 0.5

    may_be_in_place = True

    def reach(self) -> Reach:
        return Reach()

    def check(self) -> None:
        if not 0 <= self.dropout_ratio < 1:
            raise ValueError(f"dropout_ratio {self.dropout_ratio} must be at least 0 and less than 1")

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from torch.nn.functional import dropout

        return [dropout(bottoms[0], self.dropout_ratio) if phase is Phase.TRAIN else bottoms[0]]

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer.top("Identity", layer.bottoms[0].name)


@layer_kind("Accuracy", message="accuracy_param", v1="ACCURACY")
@dataclass(frozen=True)
class Accuracy(Kind):
    """The share of samples whose label is among the `top_k` scores; a second top gives it for each class.

    A tie counts against the sample: right means that fewer than `top_k` other classes score as much or more.
    """

    top_k: int = 1
    axis: Signed = 1
    ignore_label: Signed | None = None

    bottoms = (2, 2)
    tops = (1, 2)

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        axis = canonical_axis(self.axis, len(bottoms[0]))
        classes = bottoms[0][axis]
        if prod(bottoms[1]) * classes != prod(bottoms[0]):
            raise ValueError(f"scores {bottoms[0]} want a label for each position, there are {prod(bottoms[1])}")
        if not 1 <= self.top_k <= classes:
            raise ValueError(f"top_k {self.top_k} must be between 1 and the {classes} classes")
        return [(), (classes,)][:tops]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        import torch

        axis = canonical_axis(self.axis, bottoms[0].dim())
        scores = bottoms[0].detach().movedim(axis, -1).flatten(0, -2)  # positions x classes
        labels = bottoms[1].reshape(-1).long()
        counted = torch.ones_like(labels, dtype=torch.bool)
        if self.ignore_label is not None:
            counted = labels != self.ignore_label
        labels = labels.where(counted, 0)
        own = scores.gather(1, labels[:, None])
        right = ((scores >= own).sum(1) - 1 < self.top_k) & counted
        share = right.sum() / counted.sum().clamp(min=1)
        if tops == 1:
            return [share.to(scores.dtype)]
        one_hot = torch.nn.functional.one_hot(labels, scores.shape[1]) * counted[:, None]
        per_class = (one_hot * right[:, None]).sum(0) / one_hot.sum(0).clamp(min=1)
        return [share.to(scores.dtype), per_class.to(scores.dtype)]
