"""Pointwise arithmetic: AbsVal, Power, Exp, Log."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from trtdream.net.kind import layer_kind
from trtdream.net.kinds.activation import Pointwise

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer

_E = -1.0  # Caffe's `base: -1` stands for Euler's number


@layer_kind("AbsVal", v1="ABSVAL")
@dataclass(frozen=True)
class AbsVal(Pointwise):
    """|x|."""

    def apply(self, x: Tensor) -> Tensor:
        return x.abs()

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer.top("Abs", layer.bottoms[0].name)


@layer_kind("Power", message="power_param", v1="POWER")
@dataclass(frozen=True)
class Power(Pointwise):
    """(shift + scale * x) ^ power."""

    power: float = 1.0
    scale: float = 1.0
    shift: float = 0.0

    def apply(self, x: Tensor) -> Tensor:
        inner = self.shift + self.scale * x
        return inner if self.power == 1 else inner**self.power

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer = layer.wide()
        inner = _linear(layer, self.scale, self.shift)
        if self.power == 1:
            layer.top("Identity", inner)
        else:
            layer.top("Pow", inner, layer.constant("power", self.power))


@layer_kind("Exp", message="exp_param", v1="EXP")
@dataclass(frozen=True)
class Exp(Pointwise):
    """base ^ (shift + scale * x); a base of -1 stands for e."""

    base: float = _E
    scale: float = 1.0
    shift: float = 0.0

    def check(self) -> None:
        _check_base(self.base)

    def apply(self, x: Tensor) -> Tensor:
        return ((self.shift + self.scale * x) * _natural_log(self.base)).exp()

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer = layer.wide()
        natural = _natural_log(self.base)
        layer.top("Exp", _linear(layer, self.scale * natural, self.shift * natural))


@layer_kind("Log", message="log_param")
@dataclass(frozen=True)
class Log(Pointwise):
    """The logarithm of (shift + scale * x) to the base; a base of -1 stands for e."""

    base: float = _E
    scale: float = 1.0
    shift: float = 0.0

    def check(self) -> None:
        _check_base(self.base)
        if self.base == 1:
            raise ValueError("there is no logarithm to base 1")

    def apply(self, x: Tensor) -> Tensor:
        return (self.shift + self.scale * x).log() / _natural_log(self.base)

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer = layer.wide()
        logarithm = layer.part("log", "Log", _linear(layer, self.scale, self.shift))
        layer.top("Mul", logarithm, layer.constant("per_base", 1 / _natural_log(self.base)))


def _check_base(base: float) -> None:
    if base != _E and base <= 0:
        raise ValueError(f"base {base} must be positive (or -1, for e)")


def _natural_log(base: float) -> float:
    return 1.0 if base == _E else log(base)


def _linear(layer: OnnxLayer, scale: float, shift: float) -> str:
    """The tensor shift + scale * bottom."""
    x = layer.bottoms[0].name
    if scale != 1:
        x = layer.part("scaled", "Mul", x, layer.constant("scale", scale))
    return x if shift == 0 else layer.part("shifted", "Add", x, layer.constant("shift", shift))
