"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from trtdream.net.kind import Kind, Phase, Shape, layer_kind
from trtdream.net.parameters import Engine

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.maths.pooling import Window

Pair = tuple[int, int]


class Method(StrEnum):
    MAX = "MAX"
    AVE = "AVE"
    STOCHASTIC = "STOCHASTIC"


class Rounding(StrEnum):
    CEIL = "CEIL"
    FLOOR = "FLOOR"


@layer_kind("Pooling", message="pooling_param", v1="POOLING")
@dataclass(frozen=True)
class Pooling(Kind):
    """Maximum or average over windows. Sizes round up; an average counts the padding (Caffe's pooling_layer)."""

    pool: Method = Method.MAX
    kernel_size: int = 0
    stride: int = 1
    pad: int = 0
    kernel_h: int = 0
    kernel_w: int = 0
    stride_h: int = 0
    stride_w: int = 0
    pad_h: int | None = None
    pad_w: int | None = None
    engine: Engine = Engine.DEFAULT
    global_pooling: bool = False
    round_mode: Rounding = Rounding.CEIL

    tops = (1, 2)

    def check(self) -> None:
        if self.pool is Method.STOCHASTIC:
            raise ValueError("pool: STOCHASTIC is not supported (MAX and AVE are)")
        if self.global_pooling:
            if self.kernel_size or self.kernel_h or self.kernel_w:
                raise ValueError("global_pooling takes the whole map: no kernel size beside it")
            if self.pads != (0, 0) or self.strides != (1, 1):
                raise ValueError("global_pooling goes with pad 0 and stride 1")
            return
        if bool(self.kernel_size) == bool(self.kernel_h or self.kernel_w):
            raise ValueError("give kernel_size, or kernel_h and kernel_w")
        if (self.pad_h is None) != (self.pad_w is None) or (self.pad and self.pad_h is not None):
            raise ValueError("give pad, or pad_h and pad_w")
        if bool(self.stride_h) != bool(self.stride_w) or (self.stride != 1 and self.stride_h):
            raise ValueError("give stride, or stride_h and stride_w")
        if min(self._kernel) < 1 or min(self.strides) < 1:
            raise ValueError("kernel and stride must be at least 1")
        if any(pad >= kernel for pad, kernel in zip(self.pads, self._kernel, strict=True)):
            raise ValueError(f"pad {self.pads} must be less than the kernel {self._kernel}")

    @property
    def _kernel(self) -> Pair:
        return (self.kernel_size, self.kernel_size) if self.kernel_size else (self.kernel_h, self.kernel_w)

    @property
    def strides(self) -> Pair:
        return (self.stride_h, self.stride_w) if self.stride_h else (self.stride, self.stride)

    @property
    def pads(self) -> Pair:
        return (self.pad, self.pad) if self.pad_h is None or self.pad_w is None else (self.pad_h, self.pad_w)

    def window(self, bottom: Shape) -> Window:
        """The windows' geometry over a bottom of shape N x C x H x W."""
        from trtdream.net.maths.pooling import Window

        if len(bottom) != 4:
            raise ValueError(f"its bottom is N x C x H x W, not of shape {bottom}")
        sides = (bottom[2], bottom[3])
        kernel = sides if self.global_pooling else self._kernel
        return Window.over(sides, kernel, self.strides, self.pads, ceil=self.round_mode is Rounding.CEIL)

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        if tops == 2 and self.pool is not Method.MAX:
            raise ValueError("only MAX pooling has a second top, the mask")
        return [(*bottoms[0][:2], *self.window(bottoms[0]).out)] * tops

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from trtdream.net.maths.pooling import average_pool, max_pool, max_pool_with_mask

        (x,) = bottoms
        window = self.window(tuple(x.shape))
        if self.pool is Method.AVE:
            return [average_pool(x, window)]
        return max_pool_with_mask(x, window) if tops == 2 else [max_pool(x, window)]
