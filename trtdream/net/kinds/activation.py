"""Activations: pointwise functions with a bend, and PReLU, which learns its slope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trtdream.net.kind import Kind, Phase, Reach, Shape, Weight, layer_kind
from trtdream.net.parameters import Engine, Filler

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer


@dataclass(frozen=True)
class Pointwise(Kind):
    """A kind that maps each number by itself, in place if asked."""

    may_be_in_place = True

    def reach(self) -> Reach:
        return Reach()

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        return [self.apply(bottoms[0])]

    def apply(self, x: Tensor) -> Tensor:
        raise NotImplementedError(self.type_name)


@layer_kind("ReLU", message="relu_param", v1="RELU")
@dataclass(frozen=True)
class ReLU(Pointwise):
    """max(x, 0) + negative_slope * min(x, 0)."""

    negative_slope: float = 0.0
    engine: Engine = Engine.DEFAULT

    can_overwrite = True

    def overwrite(self, x: Tensor) -> Tensor:
        from torch.nn.functional import leaky_relu

        if self.negative_slope < 0:  # the sign of the result would not tell the gradient the sign of x
            return self.apply(x)
        return leaky_relu(x, self.negative_slope, inplace=True) if self.negative_slope else x.relu_()

    def apply(self, x: Tensor) -> Tensor:
        from torch.nn.functional import leaky_relu, relu

        return leaky_relu(x, self.negative_slope) if self.negative_slope else relu(x)

    def to_onnx(self, layer: OnnxLayer) -> None:
        if self.negative_slope:
            layer.top("LeakyRelu", layer.bottoms[0].name, alpha=self.negative_slope)
        else:
            layer.top("Relu", layer.bottoms[0].name)


@layer_kind("PReLU", message="prelu_param")
@dataclass(frozen=True)
class PReLU(Kind):
    """max(x, 0) + slope * min(x, 0), the slope learned for each channel or once for all."""

    filler: Filler = Filler(value=0.25)
    channel_shared: bool = False

    may_be_in_place = True

    def reach(self) -> Reach:
        return Reach()

    def weights(self, bottoms: Sequence[Shape]) -> Sequence[Weight]:
        if len(bottoms[0]) < 2:
            raise ValueError(f"its bottom has no channels, its shape is {bottoms[0]}")
        return [Weight(() if self.channel_shared else (bottoms[0][1],), self.filler)]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from torch.nn.functional import prelu

        return [prelu(bottoms[0], weights[0].reshape(-1))]

    def to_onnx(self, layer: OnnxLayer) -> None:
        (x,) = layer.bottoms
        slope = layer.weights[0].reshape(-1, *[1] * (len(x.shape) - 2))
        layer.top("PRelu", x.name, layer.constant("slope", slope))


@layer_kind("ELU", message="elu_param")
@dataclass(frozen=True)
class ELU(Pointwise):
    """x where positive, alpha * (e^x - 1) elsewhere."""

    alpha: float = 1.0

    def apply(self, x: Tensor) -> Tensor:
        from torch.nn.functional import elu

        return elu(x, self.alpha)

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer.top("Elu", layer.bottoms[0].name, alpha=self.alpha)


@layer_kind("Sigmoid", message="sigmoid_param", v1="SIGMOID")
@dataclass(frozen=True)
class Sigmoid(Pointwise):
    """1 / (1 + e^-x)."""

    engine: Engine = Engine.DEFAULT

    def apply(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer.top("Sigmoid", layer.bottoms[0].name)


@layer_kind("TanH", message="tanh_param", v1="TANH")
@dataclass(frozen=True)
class TanH(Pointwise):
    """The hyperbolic tangent."""

    engine: Engine = Engine.DEFAULT

    def apply(self, x: Tensor) -> Tensor:
        return x.tanh()

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer.top("Tanh", layer.bottoms[0].name)


@layer_kind("BNLL", v1="BNLL")
@dataclass(frozen=True)
class BNLL(Pointwise):
    """log(1 + e^x), without overflow."""

    def apply(self, x: Tensor) -> Tensor:
        import torch

        return torch.logaddexp(x, x.new_zeros(()))

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer = layer.wide()
        x = layer.bottoms[0].name
        bend = layer.part("exp", "Exp", layer.part("minus", "Neg", layer.part("abs", "Abs", x)))
        bend = layer.part("log", "Log", layer.part("plus", "Add", bend, layer.constant("one", 1.0)))
        layer.top("Add", layer.part("relu", "Relu", x), bend)


@layer_kind("Swish", message="swish_param")
@dataclass(frozen=True)
class Swish(Pointwise):
    """x * sigmoid(beta * x)."""

    beta: float = 1.0

    def apply(self, x: Tensor) -> Tensor:
        return x * (self.beta * x).sigmoid()

    def to_onnx(self, layer: OnnxLayer) -> None:
        x = layer.bottoms[0].name
        inner = x if self.beta == 1 else layer.part("scaled", "Mul", x, layer.constant("beta", self.beta))
        layer.top("Mul", x, layer.part("sigmoid", "Sigmoid", inner))


@layer_kind("Clip", message="clip_param")
@dataclass(frozen=True)
class Clip(Pointwise):
    """x, at least `min` and at most `max`; both must be given."""

    min: float | None = None
    max: float | None = None

    def check(self) -> None:
        if self.min is None or self.max is None:
            raise ValueError("clip_param needs both min and max")

    def apply(self, x: Tensor) -> Tensor:
        return x.clamp(self.min, self.max)

    def to_onnx(self, layer: OnnxLayer) -> None:
        assert self.min is not None and self.max is not None
        bounds = layer.constant("min", self.min), layer.constant("max", self.max)
        layer.top("Clip", layer.bottoms[0].name, *bounds)


@layer_kind("Threshold", message="threshold_param", v1="THRESHOLD")
@dataclass(frozen=True)
class Threshold(Pointwise):
    """1 where x is above the threshold, 0 elsewhere."""

    threshold: float = 0.0

    def apply(self, x: Tensor) -> Tensor:
        return (x > self.threshold).to(x.dtype)

    def to_onnx(self, layer: OnnxLayer) -> None:
        above = layer.part("above", "Greater", layer.bottoms[0].name, layer.constant("threshold", self.threshold))
        layer.cast(None, above)
