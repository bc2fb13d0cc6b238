"""Pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from trtdream.net.kind import Kind, Phase, Reach, Shape, layer_kind
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
    pad_h: int | None = None
    pad_w: int | None = None
    engine: Engine = Engine.DEFAULT
    global_pooling: bool = False
    round_mode: Rounding = Rounding.CEIL

    tops = (1, 2)

    def reach(self) -> Reach | None:
        return None if self.global_pooling else Reach(self._kernel, self.strides, self.pads)

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

    def to_onnx(self, layer: OnnxLayer) -> None:
        (x,) = layer.bottoms
        if x.dynamic - {0}:
            self._write_any_size(layer)
        elif self.pool is Method.AVE:
            self._write_average(layer, self.window(x.shape))
        else:
            self._write_maximum(layer, self.window(x.shape))

    def _write_maximum(self, layer: OnnxLayer, window: Window) -> None:
        steps = _pooling(layer, window, "MaxPool", float(np.finfo(np.float32).min))
        if len(layer.tops) == 1:
            _write_chain(layer, steps)
        elif len(steps) == 1:
            self._write_mask(layer, window, steps[0].attributes)
        else:
            raise ValueError("a mask of windows that reach far beyond the map has no ONNX form")

    def _write_mask(self, layer: OnnxLayer, window: Window, shape: Mapping[str, Any]) -> None:
        """ONNX counts the winners' places through the whole tensor, Caffe within the channel."""
        values, places = layer.parts(("values", "places"), "MaxPool", layer.bottoms[0].name, **shape)
        height, width = window.over_sides
        within = layer.part("within", "Mod", places, layer.constant("map_size", np.array(height * width)))
        layer.top("Identity", values, index=0)
        layer.top("Identity", layer.cast("mask", within), index=1)

    def _write_average(self, layer: OnnxLayer, window: Window) -> None:
        """Where the last windows are cut off, Caffe divides by what is left of them: a factor for each window."""
        steps = _pooling(layer, window, "AveragePool", 0.0, count_include_pad=1)
        divisors = np.outer(_extents(window, 0), _extents(window, 1)).astype(np.float32)
        area = np.float32(window.kernel[0] * window.kernel[1])
        if (divisors != area).any():
            with np.errstate(divide="ignore"):
                factor = area / divisors
            steps.append(_Node("weighted", "Mul", (layer.constant("factor", factor[None, None]),)))
        _write_chain(layer, steps)

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


@dataclass(frozen=True)
class _Node:
    """A node whose first operand is the one before it."""

    part: str
    operator: str
    operands: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


def _pooling(layer: OnnxLayer, window: Window, operator: str, empty: float, **attributes: Any) -> list[_Node]:
    """The pooling with explicit pads and no rounding up, and what makes its windows Caffe's: windows too many are
    sliced off, windows that lie wholly outside the map, which no operator has, are padded on with `empty`.
    """
    inside = [int((_starts(window, side) < window.over_sides[side]).sum()) for side in (0, 1)]
    reach = [(inside[side] - 1) * window.stride[side] + window.kernel[side] - window.pad[side] for side in (0, 1)]
    pads = (*window.pad, *(max(0, reach[side] - window.over_sides[side]) for side in (0, 1)))  # top, left, below, right
    spans = [window.over_sides[side] + pads[side] + pads[side + 2] - window.kernel[side] for side in (0, 1)]
    shape = {"kernel_shape": window.kernel, "strides": window.stride, "pads": pads}
    steps = [_Node("windows", operator, (), shape | attributes)]
    if [span // stride + 1 for span, stride in zip(spans, window.stride, strict=True)] != inside:
        bounds = {"starts": np.array([0, 0]), "ends": np.array(inside), "axes": np.array([2, 3])}
        operands = tuple(layer.constant(part, values) for part, values in bounds.items())
        steps.append(_Node("first_windows", "Slice", operands))
    if tuple(inside) != window.out:
        lacking = np.array([0] * 6 + [window.out[side] - inside[side] for side in (0, 1)])
        steps.append(_Node("all_windows", "Pad", (layer.constant("lacking", lacking), layer.constant("empty", empty))))
    return steps


def _write_chain(layer: OnnxLayer, steps: Sequence[_Node]) -> None:
    *before, last = steps
    source = layer.bottoms[0].name
    for node in before:
        source = layer.part(node.part, node.operator, source, *node.operands, **node.attributes)
    layer.top(last.operator, source, *last.operands, **last.attributes)


def _starts(window: Window, side: int) -> np.ndarray:
    return np.arange(window.out[side]) * window.stride[side] - window.pad[side]


def _extents(window: Window, side: int) -> np.ndarray:
    """Each window's length along a side, clipped to the map and its padding: 0 or less if it lies wholly outside."""
    starts = _starts(window, side)
    return np.minimum(starts + window.kernel[side], window.over_sides[side] + window.pad[side]) - starts
