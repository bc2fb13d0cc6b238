"""Convolution and Deconvolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from trtdream.net.kind import MANY, Kind, Phase, Reach, Shape, Weight, layer_kind
from trtdream.net.parameters import Engine, Filler, Signed

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer

Pair = tuple[int, int]


@dataclass(frozen=True)
class _Convolving(Kind):
    """What the two directions share: Caffe's `convolution_param`.

    Kernel, pad and stride are given once for both sides, once a side, or by their `_h` and `_w` fields. Of the paddings
    a 0 that is given is kept apart from one that is not: Caffe, too, asks which fields a file has.
    """

    num_output: int = 0
    bias_term: bool = True
    pad: tuple[int, ...] = ()
    kernel_size: tuple[int, ...] = ()
    group: int = 1
    stride: tuple[int, ...] = ()
    weight_filler: Filler = Filler()
    bias_filler: Filler = Filler()
    pad_h: int | None = None
    pad_w: int | None = None
    kernel_h: int = 0
    kernel_w: int = 0
    stride_h: int = 0
    stride_w: int = 0
    engine: Engine = Engine.DEFAULT
    axis: Signed = 1
    force_nd_im2col: bool = False
    dilation: tuple[int, ...] = ()

    bottoms = (1, MANY)
    tops = (1, MANY)
    frees_top = True

    def check(self) -> None:
        if self.num_output < 1:
            raise ValueError("num_output must be at least 1")
        if min(self.kernel) < 1:
            raise ValueError("kernel_size (or kernel_h and kernel_w) must be at least 1")
        if min(self.strides) < 1 or min(self.dilations) < 1:
            raise ValueError("stride and dilation must be at least 1")
        if self.group < 1 or self.num_output % self.group:
            raise ValueError(f"num_output {self.num_output} is not divisible by group {self.group}")
        if self.axis not in (1, -3):
            raise ValueError(f"axis {self.axis} is not supported: channels are axis 1 of N x C x H x W")

    @property
    def kernel(self) -> Pair:
        """Height and width."""
        return _pair("kernel_size", self.kernel_size, self.kernel_h, self.kernel_w, 0)

    @property
    def strides(self) -> Pair:
        return _pair("stride", self.stride, self.stride_h, self.stride_w, 1)

    @property
    def pads(self) -> Pair:
        if self.pad_h is None and self.pad_w is None:
            return _pair("pad", self.pad, 0, 0, 0)
        if self.pad:
            raise ValueError("pad stands beside its _h and _w forms: give one of them")
        return self.pad_h or 0, self.pad_w or 0

    @property
    def dilations(self) -> Pair:
        return _pair("dilation", self.dilation, 0, 0, 1)

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        if len(bottoms) != tops:
            raise ValueError(f"{len(bottoms)} bottoms need as many tops, not {tops}")
        if len(set(bottoms)) > 1:
            raise ValueError(f"its bottoms differ in shape: {', '.join(map(str, bottoms))}")
        return [(bottom[0], self.num_output, *self._sides(bottom)) for bottom in bottoms]

    def _sides(self, bottom: Shape) -> list[int]:
        """Height and width of the top."""
        raise NotImplementedError(self.type_name)

    def _channels(self, bottom: Shape) -> int:
        if len(bottom) != 4:
            raise ValueError(f"its bottom is N x C x H x W, not of shape {bottom}")
        if bottom[1] % self.group:
            raise ValueError(f"{bottom[1]} channels are not divisible by group {self.group}")
        return bottom[1]

    def _bias(self) -> list[Weight]:
        return [Weight((self.num_output,), self.bias_filler)] if self.bias_term else []

    def _write(self, layer: OnnxLayer, operator: str) -> None:
        weights = [layer.weight(index) for index in range(1 + self.bias_term)]
        for index, bottom in enumerate(layer.bottoms):
            layer.top(
                operator,
                bottom.name,
                *weights,
                index=index,
                kernel_shape=self.kernel,
                strides=self.strides,
                pads=self.pads * 2,
                dilations=self.dilations,
                group=self.group,
            )


@layer_kind("Convolution", message="convolution_param", v1="CONVOLUTION")
@dataclass(frozen=True)
class Convolution(_Convolving):
    """Cross-correlation with `num_output` filters. Size: floor((in + 2 pad - extent) / stride) + 1."""

    def reach(self) -> Reach:
        height, width = (d * (k - 1) + 1 for d, k in zip(self.dilations, self.kernel, strict=True))
        return Reach((height, width), self.strides, self.pads)

    def _sides(self, bottom: Shape) -> list[int]:
        self._channels(bottom)
        sides = []
        for size, kernel, stride, pad, dilation in zip(
            bottom[2:], self.kernel, self.strides, self.pads, self.dilations, strict=True
        ):
            extent = dilation * (kernel - 1) + 1
            if size + 2 * pad < extent:
                raise ValueError(f"a side of {size} (padded {size + 2 * pad}) is less than the kernel's {extent}")
            sides.append((size + 2 * pad - extent) // stride + 1)
        return sides

    def weights(self, bottoms: Sequence[Shape]) -> Sequence[Weight]:
        shape = (self.num_output, self._channels(bottoms[0]) // self.group, *self.kernel)
        return [Weight(shape, self.weight_filler), *self._bias()]

    def macs(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> int:
        each = bottoms[0][1] // self.group * prod(self.kernel)
        return sum(prod(top) * each for top in tops)

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from torch.nn.functional import conv2d

        bias = weights[1] if self.bias_term else None
        return [conv2d(x, weights[0], bias, self.strides, self.pads, self.dilations, self.group) for x in bottoms]

    def to_onnx(self, layer: OnnxLayer) -> None:
        self._write(layer, "Conv")


@layer_kind("Deconvolution", message="convolution_param", v1="DECONVOLUTION")
@dataclass(frozen=True)
class Deconvolution(_Convolving):
    """A convolution's transpose. Size: stride (in - 1) + extent - 2 pad."""

    def _sides(self, bottom: Shape) -> list[int]:
        self._channels(bottom)
        sides = [
            stride * (size - 1) + dilation * (kernel - 1) + 1 - 2 * pad
            for size, kernel, stride, pad, dilation in zip(
                bottom[2:], self.kernel, self.strides, self.pads, self.dilations, strict=True
            )
        ]
        if min(sides) < 1:
            raise ValueError(f"nothing is left of {bottom} after padding {self.pads}")
        return sides

    def weights(self, bottoms: Sequence[Shape]) -> Sequence[Weight]:
        shape = (self._channels(bottoms[0]), self.num_output // self.group, *self.kernel)
        return [Weight(shape, self.weight_filler), *self._bias()]

    def macs(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> int:
        each = self.num_output // self.group * prod(self.kernel)
        return sum(prod(bottom) * each for bottom in bottoms)

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from torch.nn.functional import conv_transpose2d

        bias = weights[1] if self.bias_term else None
        return [
            conv_transpose2d(x, weights[0], bias, self.strides, self.pads, 0, self.group, self.dilations)
            for x in bottoms
        ]

    def to_onnx(self, layer: OnnxLayer) -> None:
        self._write(layer, "ConvTranspose")


def _pair(name: str, values: tuple[int, ...], height: int, width: int, default: int) -> Pair:
    if height or width:
        if values:
            raise ValueError(f"{name} stands beside its _h and _w forms: give one of them")
        return height, width
    if len(values) > 2:
        raise ValueError(f"{name} has {len(values)} values: pictures have a height and a width")
    if len(values) == 2:
        return values[0], values[1]
    side = values[0] if values else default
    return side, side
