"""BatchNorm and MVN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trtdream.net.kind import Kind, Phase, Reach, Shape, Weight, layer_kind

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer


@layer_kind("BatchNorm", message="batch_norm_param")
@dataclass(frozen=True)
class BatchNorm(Kind):
    """(x - mean) / sqrt(variance + eps) for each channel (Caffe's batch_norm_layer).

    The statistics are the batch's own in TRAIN and the stored ones in TEST, unless `use_global_stats` says otherwise.
    Stored are the running sums of means and variances and the factor to divide both by.
    """

    use_global_stats: bool | None = None
    moving_average_fraction: float = 0.999
    eps: float = 1e-5

    may_be_in_place = True

    def reach(self) -> Reach | None:
        return None if self.use_global_stats is False else Reach()

    def weights(self, bottoms: Sequence[Shape]) -> Sequence[Weight]:
        if len(bottoms[0]) < 2:
            raise ValueError(f"its bottom has no channels, its shape is {bottoms[0]}")
        channels = (bottoms[0][1],)
        return [Weight(shape, learned=False) for shape in (channels, channels, (1,))]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        import torch
        from torch.nn.functional import batch_norm

        (x,), (mean_sum, variance_sum, factor) = bottoms, weights
        stored = phase is Phase.TEST if self.use_global_stats is None else self.use_global_stats
        if not stored:
            self._remember(x.detach(), mean_sum, variance_sum, factor)
            # Not torch.nn.functional's form, which refuses a channel of one value; Caffe gives 0 there.
            cudnn = torch.backends.cudnn.enabled
            return [torch.batch_norm(x, None, None, None, None, True, 0.0, self.eps, cudnn)]
        divisor = factor.where(factor != 0, factor.new_tensor(float("inf")))
        return [batch_norm(x, mean_sum / divisor, variance_sum / divisor, eps=self.eps)]

    def _remember(self, x: Tensor, mean_sum: Tensor, variance_sum: Tensor, factor: Tensor) -> None:
        axes = [axis for axis in range(x.dim()) if axis != 1]
        keep = self.moving_average_fraction
        mean_sum.mul_(keep).add_(x.mean(axes))
        variance_sum.mul_(keep).add_(x.var(axes, unbiased=x.numel() > x.shape[1]))
        factor.mul_(keep).add_(1)

    def to_onnx(self, layer: OnnxLayer) -> None:
        if self.use_global_stats is False:
            raise ValueError(
                "use_global_stats: false takes the batch's own statistics, which no engine should depend on"
            )
        (x,), (mean_sum, variance_sum, factor) = layer.bottoms, layer.weights
        divisor = factor[0] if factor[0] else np.float32(np.inf)
        ones = np.ones_like(mean_sum)
        parts = {"scale": ones, "shift": 0 * ones, "mean": mean_sum / divisor, "variance": variance_sum / divisor}
        constants = [layer.constant(part, values) for part, values in parts.items()]
        layer.top("BatchNormalization", x.name, *constants, epsilon=self.eps)


@layer_kind("MVN", message="mvn_param", v1="MVN")
@dataclass(frozen=True)
class MVN(Kind):
    """Mean 0 and variance 1 over each channel of each sample, or over the whole sample."""

    normalize_variance: bool = True
    across_channels: bool = False
    eps: float = 1e-9

    may_be_in_place = True

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        (x,) = bottoms
        flat = x.flatten(1) if self.across_channels else x.reshape(*x.shape[:2], -1)
        centred = flat - flat.mean(-1, keepdim=True)
        if self.normalize_variance:
            variance = (centred * centred).mean(-1, keepdim=True)
            # The square root's gradient at 0 is infinite: channels of one value must not come near it.
            deviation = variance.where(variance > 0, 1).sqrt().where(variance > 0, 0)
            centred = centred / (deviation + self.eps)
        return [centred.reshape(x.shape)]

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer = layer.wide()
        (x,) = layer.bottoms
        axes = range(1 if self.across_channels else 2, len(x.shape))
        centred = layer.part("centred", "Sub", x.name, layer.reduce("mean", "ReduceMean", x.name, axes, keep=True))
        if not self.normalize_variance:
            layer.top("Identity", centred)
            return
        squares = layer.part("squares", "Mul", centred, centred)
        deviation = layer.part("deviation", "Sqrt", layer.reduce("variance", "ReduceMean", squares, axes, keep=True))
        layer.top("Div", centred, layer.part("divisor", "Add", deviation, layer.constant("eps", self.eps)))
