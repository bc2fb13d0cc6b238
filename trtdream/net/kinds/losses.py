"""Losses. Each gives one number, a mean over the batch; the net multiplies it by the layer's loss weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import TYPE_CHECKING

from trtdream.net.kind import Kind, Phase, Shape, beside, canonical_axis, layer_kind
from trtdream.net.parameters import Engine, LossOptions, Normalization, Signed

if TYPE_CHECKING:
    from torch import Tensor

_FLT_MIN = 1.17549435e-38  # the least normal float32: Caffe takes no logarithm of less
_EPSILON = 1e-4  # ContrastiveLoss adds it to a distance it divides by


@dataclass(frozen=True)
class _Loss(Kind):
    bottoms = (2, 2)
    is_loss = True

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        first, second = bottoms
        if first[:1] != second[:1] or prod(first) != prod(second):
            raise ValueError(f"its bottoms differ in size: {first} and {second}")
        return [()]


@layer_kind("SoftmaxWithLoss", message="softmax_param", v1="SOFTMAX_LOSS")
@dataclass(frozen=True)
class SoftmaxWithLoss(_Loss):
    """Minus the mean logarithm of the label's softmax probability; a second top gives the probabilities.

    No probability counts as less than the least float32, as in Caffe: the loss is at most 87.34.
    """

    engine: Engine = Engine.DEFAULT
    axis: Signed = 1
    loss: LossOptions = beside("loss_param", LossOptions())

    tops = (1, 2)

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        axis = canonical_axis(self.axis, len(bottoms[0]))
        positions = prod(bottoms[0][:axis]) * prod(bottoms[0][axis + 1 :])
        if prod(bottoms[1]) != positions:
            raise ValueError(f"scores {bottoms[0]} want {positions} labels, there are {prod(bottoms[1])}")
        return [(), bottoms[0]][:tops]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from math import log

        import torch

        axis = canonical_axis(self.axis, bottoms[0].dim())
        logarithms = _wide(bottoms[0]).log_softmax(axis)
        flat = logarithms.movedim(axis, -1).flatten(0, -2)  # positions x classes
        labels = bottoms[1].reshape(-1).long()
        ignored = self.loss.ignore_label
        counted = labels != ignored if ignored is not None else torch.ones_like(labels, dtype=torch.bool)
        own = flat.gather(1, labels.where(counted, 0)[:, None])[:, 0]
        # The floor changes the value, never the gradient, which Caffe computes as p - onehot all the same.
        # In this order, for 1e9 - (1e9 - 87) would be 0.
        floored = own.detach().clamp(min=log(_FLT_MIN)) + (own - own.detach())
        outer = prod(bottoms[0].shape[:axis])
        total = -(floored * counted).sum()
        loss = total / _normalizer(self.loss.mode(Normalization.VALID), outer, counted)
        return [loss, logarithms.detach().exp()][:tops]


@layer_kind("SigmoidCrossEntropyLoss", message="sigmoid_param", v1="SIGMOID_CROSS_ENTROPY_LOSS")
@dataclass(frozen=True)
class SigmoidCrossEntropyLoss(_Loss):
    """Minus the sum of t log s(x) + (1 - t) log(1 - s(x)), over the batch size by default."""

    engine: Engine = Engine.DEFAULT
    loss: LossOptions = beside("loss_param", LossOptions())

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits

        x = _wide(bottoms[0])
        target = bottoms[1].reshape(x.shape).to(x.dtype)
        ignored = self.loss.ignore_label
        counted = target.long() != ignored if ignored is not None else torch.ones_like(target, dtype=torch.bool)
        each = binary_cross_entropy_with_logits(x, target.where(counted, 0), reduction="none") * counted
        mode = self.loss.mode(Normalization.BATCH_SIZE)
        return [each.sum() / _normalizer(mode, x.shape[0], counted)]


@layer_kind("EuclideanLoss", v1="EUCLIDEAN_LOSS")
@dataclass(frozen=True)
class EuclideanLoss(_Loss):
    """The sum of squared differences over twice the batch size."""

    loss: LossOptions = beside("loss_param", LossOptions())

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        difference = _wide(bottoms[0]) - _wide(bottoms[1]).reshape(bottoms[0].shape)
        return [(difference * difference).sum() / (2 * difference.shape[0])]


class Norm(StrEnum):
    L1 = "L1"
    L2 = "L2"


@layer_kind("HingeLoss", message="hinge_loss_param", v1="HINGE_LOSS")
@dataclass(frozen=True)
class HingeLoss(_Loss):
    """The sum over classes of max(0, 1 - t x), t = 1 for the label and -1 for others, or of its square."""

    norm: Norm = Norm.L1
    loss: LossOptions = beside("loss_param", LossOptions())

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        if prod(bottoms[1]) != bottoms[0][0]:
            raise ValueError(f"scores {bottoms[0]} want {bottoms[0][0]} labels, there are {prod(bottoms[1])}")
        return [()]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from torch.nn.functional import one_hot

        scores = _wide(bottoms[0]).flatten(1)
        sign = 1 - 2 * one_hot(bottoms[1].reshape(-1).long(), scores.shape[1])
        margin = (1 + sign * scores).relu()  # not clamp, which at 0 has a gradient where Caffe has none
        total = margin.sum() if self.norm is Norm.L1 else (margin * margin).sum()
        return [total / scores.shape[0]]


@layer_kind("ContrastiveLoss", message="contrastive_loss_param", v1="CONTRASTIVE_LOSS")
@dataclass(frozen=True)
class ContrastiveLoss(_Loss):
    """Pulls the two bottoms together where the third is 1, and apart, up to `margin`, where it is 0.

    `legacy_version` takes the margin from the squared distance. The gradient divides by the distance plus 0.0001,
    as Caffe's does.
    """

    margin: float = 1.0
    legacy_version: bool = False
    loss: LossOptions = beside("loss_param", LossOptions())

    bottoms = (3, 3)

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        if bottoms[0] != bottoms[1] or prod(bottoms[2]) != bottoms[0][0]:
            raise ValueError(f"wants two bottoms of one shape and a flag a pair, not {', '.join(map(str, bottoms))}")
        return [()]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        a, b = (_wide(x).flatten(1) for x in bottoms[:2])
        similar = bottoms[2].reshape(-1).long() != 0
        squared = ((a - b) ** 2).sum(1)
        if self.legacy_version:
            apart = (self.margin - squared).relu()
        else:
            distance = squared.detach().sqrt()
            missing = (self.margin - distance).clamp(min=0)
            slope = -missing / (distance + _EPSILON) * squared
            apart = slope + (missing * missing - slope).detach()
        return [squared.where(similar, apart).sum() / (2 * a.shape[0])]


def _wide(x: Tensor) -> Tensor:
    """At least float32: a sum over a batch of halves would lose digits."""
    return x.float() if x.element_size() < 4 else x


def _normalizer(mode: Normalization, batch: int, counted: Tensor) -> Tensor | float:
    """What a loss is divided by; never less than 1, so that a batch of ignored labels gives 0."""
    if mode is Normalization.VALID:
        return counted.sum().clamp(min=1)
    sizes = {Normalization.FULL: counted.numel(), Normalization.BATCH_SIZE: batch, Normalization.NONE: 1}
    return float(max(sizes[mode], 1))
