"""Pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from trtdream.net.kind import Kind, Phase, Shape, layer_kind
from trtdream.net.parameters import Engine

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.maths.pooling import Window
    from trtdream.net.onnx_form import OnnxLayer

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
    pad_h: int = 0
    pad_w: int = 0
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
        return (self.pad_h, self.pad_w) if self.pad_h or self.pad_w else (self.pad, self.pad)

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

    def to_onnx(self, layer: OnnxLayer) -> None:
        (x,) = layer.bottoms
        if x.dynamic - {0}:
            self._write_any_size(layer)
        elif self.pool is Method.AVE:
            self._write_average(layer, self.window(x.shape))
        else:
            self._write_maximum(layer, self.window(x.shape))

    def _write_maximum(self, layer: OnnxLayer, window: Window) -> None:
        source, pads, exact = _padded(layer, window, value=float(np.finfo(np.float32).min))
        shape: dict[str, Any] = {"kernel_shape": window.kernel, "strides": window.stride, "pads": pads}
        if len(layer.tops) == 2:
            if source != layer.bottoms[0].name or not exact:
                raise ValueError("a mask of windows that reach far beyond the map has no ONNX form")
            self._write_mask(layer, window, shape)
        elif exact:
            layer.top("MaxPool", source, **shape)
        else:
            layer.top("Slice", layer.part("windows", "MaxPool", source, **shape), *_first_windows(layer, window))

    def _write_mask(self, layer: OnnxLayer, window: Window, shape: Mapping[str, Any]) -> None:
        """ONNX counts the winners' places through the whole tensor, Caffe within the channel."""
        values, places = layer.parts(("values", "places"), "MaxPool", layer.bottoms[0].name, **shape)
        height, width = window.over_sides
        within = layer.part("within", "Mod", places, layer.constant("map_size", np.array(height * width)))
        layer.top("Identity", values, index=0)
        layer.top("Identity", layer.cast("mask", within), index=1)

    def _write_average(self, layer: OnnxLayer, window: Window) -> None:
        """Where the last windows are cut off, Caffe divides by what is left of them: a factor for each window."""
        source, pads, exact = _padded(layer, window, value=0.0)
        shape: dict[str, Any] = {
            "kernel_shape": window.kernel,
            "strides": window.stride,
            "pads": pads,
            "count_include_pad": 1,
        }
        divisors = np.outer(_extents(window, 0), _extents(window, 1))
        area = window.kernel[0] * window.kernel[1]
        cut = bool((divisors != area).any())
        if exact and not cut:
            layer.top("AveragePool", source, **shape)
            return
        windows = layer.part("windows", "AveragePool", source, **shape)
        if not exact:
            operands = windows, *_first_windows(layer, window)
            if not cut:
                layer.top("Slice", *operands)
                return
            windows = layer.part("first_windows", "Slice", *operands)
        with np.errstate(divide="ignore"):
            factor = np.float32(area) / divisors.astype(np.float32)
        layer.top("Mul", windows, layer.constant("factor", factor[None, None]))

    def _write_any_size(self, layer: OnnxLayer) -> None:
        """For maps whose size is known only at run time: the cases in which ONNX's formulas and Caffe's agree."""
        name = layer.bottoms[0].name
        if self.global_pooling:
            layer.top("GlobalAveragePool" if self.pool is Method.AVE else "GlobalMaxPool", name)
            return
        shape: dict[str, Any] = {"kernel_shape": self._kernel, "strides": self.strides, "pads": self.pads * 2}
        if self.strides == (1, 1):
            extra = {"count_include_pad": 1} if self.pool is Method.AVE else {}
            layer.top("AveragePool" if self.pool is Method.AVE else "MaxPool", name, **shape, **extra)
        elif self.pool is Method.MAX and self.pads == (0, 0) and self._strides_within_kernel():
            layer.top("MaxPool", name, **shape, ceil_mode=int(self.round_mode is Rounding.CEIL))
        else:
            raise ValueError("this pooling rounds otherwise than ONNX does, unless the map's size is fixed")

    def _strides_within_kernel(self) -> bool:
        return all(stride <= kernel for stride, kernel in zip(self.strides, self._kernel, strict=True))


def _padded(layer: OnnxLayer, window: Window, value: float) -> tuple[str, tuple[int, ...], bool]:
    """The bottom and the pads (top, left, bottom, right) to give the operator, and whether it then finds as many
    windows as Caffe, not more.

    No operator takes a padding as wide as its kernel: the map is then padded by a node before it.
    """
    pads = (*window.pad, *(max(0, beyond) for beyond in window.overhang))
    spans = [window.over_sides[side] + pads[side] + pads[side + 2] - window.kernel[side] for side in (0, 1)]
    exact = tuple(span // stride + 1 for span, stride in zip(spans, window.stride, strict=True)) == window.out
    name = layer.bottoms[0].name
    if all(pad < kernel for pad, kernel in zip(pads, window.kernel * 2, strict=True)):
        return name, pads, exact
    around = np.array([0, 0, *pads[:2], 0, 0, *pads[2:]])
    padded = layer.part("padded", "Pad", name, layer.constant("pads", around), layer.constant("padding", value))
    return padded, (0, 0, 0, 0), exact


def _extents(window: Window, side: int) -> np.ndarray:
    """Each window's length along a side, clipped to the map and its padding: 0 or less if it lies wholly outside."""
    starts = np.arange(window.out[side]) * window.stride[side] - window.pad[side]
    ends = np.minimum(starts + window.kernel[side], window.over_sides[side] + window.pad[side])
    return ends - starts


def _first_windows(layer: OnnxLayer, window: Window) -> list[str]:
    """Slice's operands that keep as many windows as Caffe has."""
    parts = {"starts": np.array([0, 0]), "ends": np.array(window.out), "axes": np.array([2, 3])}
    return [layer.constant(part, values) for part, values in parts.items()]
