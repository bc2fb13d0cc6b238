"""LRN, local response normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from trtdream.net.kind import Kind, Phase, Reach, Shape, layer_kind
from trtdream.net.parameters import Engine

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer


class Region(StrEnum):
    ACROSS_CHANNELS = "ACROSS_CHANNELS"
    WITHIN_CHANNEL = "WITHIN_CHANNEL"


@layer_kind("LRN", message="lrn_param", v1="LRN")
@dataclass(frozen=True)
class LRN(Kind):
    """x / (k + alpha / n * sum of squares over n neighbours) ^ beta (Caffe's lrn_layer).

    Within a channel n is local_size squared, and k is always 1.
    """

    local_size: int = 5
    alpha: float = 1.0
    beta: float = 0.75
    norm_region: Region = Region.ACROSS_CHANNELS
    k: float = 1.0
    engine: Engine = Engine.DEFAULT

    def reach(self) -> Reach:
        if self.norm_region is Region.ACROSS_CHANNELS:
            return Reach()
        return Reach((self.local_size,) * 2, pad=((self.local_size - 1) // 2,) * 2)

    def check(self) -> None:
        if self.local_size % 2 == 0:
            raise ValueError(f"local_size {self.local_size} must be odd")

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        if len(bottoms[0]) != 4:
            raise ValueError(f"its bottom is N x C x H x W, not of shape {bottoms[0]}")
        return [bottoms[0]]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from trtdream.net.maths.lrn import across_channels, within_channel

        if self.norm_region is Region.WITHIN_CHANNEL:
            return [within_channel(bottoms[0], self.local_size, self.alpha, self.beta)]
        return [across_channels(bottoms[0], self.local_size, self.alpha, self.beta, self.k)]

    def to_onnx(self, layer: OnnxLayer) -> None:
        if self.norm_region is Region.WITHIN_CHANNEL:
            self._write_within_channel(layer.wide())
        elif layer.lrn_as_convolution:
            self._write_banded(layer)
        else:
            layer = layer.wide()
            parameters: dict[str, Any] = {
                "size": self.local_size,
                "alpha": self.alpha,
                "beta": self.beta,
                "bias": self.k,
            }
            layer.top("LRN", layer.bottoms[0].name, **parameters)

    def _write_banded(self, layer: OnnxLayer) -> None:
        """The sum over neighbours as a 1 x 1 convolution with a banded matrix; x is scaled before it is squared, so
        that float16 cannot overflow."""
        (x,) = layer.bottoms
        channels = np.arange(x.shape[1])
        near = np.abs(channels[:, None] - channels[None, :]) <= (self.local_size - 1) // 2
        band = layer.constant("band", near.astype(np.float32)[:, :, None, None])
        scaled = layer.part("scaled", "Mul", x.name, layer.constant("factor", (self.alpha / self.local_size) ** 0.5))
        k = layer.constant("k", np.full(x.shape[1], self.k, np.float32))
        t = layer.part("scale", "Conv", layer.part("squares", "Mul", scaled, scaled), band, k, kernel_shape=(1, 1))
        layer.top("Mul", x.name, self._write_negative_power(layer, t))

    def _write_negative_power(self, layer: OnnxLayer, t: str) -> str:
        """t ^ -beta; Caffe's usual 0.75 as r * sqrt(r) with r = 1 / sqrt(t), which is much cheaper than a power."""
        if self.beta != 0.75:
            return layer.part("power", "Pow", t, layer.constant("exponent", -self.beta))
        root = layer.part("root", "Reciprocal", layer.part("sqrt", "Sqrt", t))
        return layer.part("power", "Mul", root, layer.part("root_sqrt", "Sqrt", root))

    def _write_within_channel(self, layer: OnnxLayer) -> None:
        x, pad = layer.bottoms[0].name, (self.local_size - 1) // 2
        mean = layer.part(
            "mean",
            "AveragePool",
            layer.part("squares", "Mul", x, x),
            kernel_shape=(self.local_size, self.local_size),
            pads=(pad,) * 4,
            count_include_pad=1,
        )
        weighted = layer.part("weighted", "Mul", mean, layer.constant("alpha", self.alpha))
        t = layer.part("scale", "Add", weighted, layer.constant("one", 1.0))
        layer.top("Mul", x, self._write_negative_power(layer, t))
