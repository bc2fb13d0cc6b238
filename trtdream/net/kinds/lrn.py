"""LRN, local response normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from trtdream.net.kind import Kind, Phase, Shape, layer_kind
from trtdream.net.parameters import Engine

if TYPE_CHECKING:
    from torch import Tensor


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
