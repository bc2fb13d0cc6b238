"""InnerProduct, the fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from trtdream.net.kind import Kind, Phase, Shape, Weight, canonical_axis, layer_kind
from trtdream.net.parameters import Filler, Signed

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer, OnnxValue


@layer_kind("InnerProduct", message="inner_product_param", v1="INNER_PRODUCT")
@dataclass(frozen=True)
class InnerProduct(Kind):
    """y = x W^T + b, where x is the bottom flattened from `axis` on."""

    num_output: int = 0
    bias_term: bool = True
    weight_filler: Filler = Filler()
    bias_filler: Filler = Filler()
    axis: Signed = 1
    transpose: bool = False

    frees_top = True

    def check(self) -> None:
        if self.num_output < 1:
            raise ValueError("num_output must be at least 1")

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        return [(*bottoms[0][: self._axis(bottoms[0])], self.num_output)]

    def weights(self, bottoms: Sequence[Shape]) -> Sequence[Weight]:
        inputs = prod(bottoms[0][self._axis(bottoms[0]) :])
        shape = (inputs, self.num_output) if self.transpose else (self.num_output, inputs)
        bias = [Weight((self.num_output,), self.bias_filler)] if self.bias_term else []
        return [Weight(shape, self.weight_filler), *bias]

    def macs(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> int:
        return prod(bottoms[0]) * self.num_output

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        x = bottoms[0].flatten(self._axis(tuple(bottoms[0].shape)))
        weight = weights[0].t() if self.transpose else weights[0]
        return [self._product(x, weight, weights[1] if self.bias_term else None)]

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        from torch.nn.functional import linear

        return linear(x, weight, bias)

    def _axis(self, bottom: Shape) -> int:
        return canonical_axis(self.axis, len(bottom))

    def to_onnx(self, layer: OnnxLayer) -> None:
        (x,), axis = layer.bottoms, self._axis(layer.bottoms[0].shape)
        if axis != 1:
            self._write_matmul(layer, x, axis)
            return
        flat = x.name if len(x.shape) == 2 else layer.part("flat", "Flatten", x.name, axis=1)
        weights = [layer.weight(index) for index in range(1 + self.bias_term)]
        layer.top("Gemm", flat, *weights, transB=0 if self.transpose else 1)

    def _write_matmul(self, layer: OnnxLayer, x: OnnxValue, axis: int) -> None:
        rows = [-1 if i in x.dynamic else size for i, size in enumerate(x.shape[:axis])]
        inputs = prod(x.fixed(range(axis, len(x.shape))))
        flat = layer.part("flat", "Reshape", x.name, layer.constant("flat_shape", np.array([*rows, inputs])))
        matrix = layer.weights[0] if self.transpose else layer.weights[0].T
        operands = flat, layer.constant("matrix", np.ascontiguousarray(matrix))
        if self.bias_term:
            layer.top("Add", layer.part("product", "MatMul", *operands), layer.weight(1))
        else:
            layer.top("MatMul", *operands)
