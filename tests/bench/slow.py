"""Layers that take a known time, and a network of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trtdream.bench.limits import Limits
from trtdream.net.kind import Phase
from trtdream.net.kinds.activation import ReLU
from trtdream.net.kinds.inputs import Input
from trtdream.net.net import Layer, Net
from trtdream.net.parameters import BlobShape, Filler
from trtdream.net.zoo.parts import convolution, relu

LIMITS = Limits(1e10, dict.fromkeys(("float32", "bfloat16", "float16"), 1e11), 1e-3, "in a test")


class _Sleep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor, forward_s: float, backward_s: float) -> Tensor:
        ctx.backward_s = backward_s  # type: ignore[attr-defined]
        time.sleep(forward_s)
        return x.relu()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None, None]:
        time.sleep(ctx.backward_s)  # type: ignore[attr-defined]
        return gradients[0].clone(), None, None


@dataclass(frozen=True)
class SlowReLU(ReLU):
    """A ReLU that sleeps on its way forward and on its way back."""

    forward_s: float = field(default=0.0, kw_only=True)
    backward_s: float = field(default=0.0, kw_only=True)

    can_overwrite = False

    def forward(
        self,
        bottoms: Sequence[Tensor],
        weights: Sequence[Tensor],  # noqa: ARG002
        phase: Phase,  # noqa: ARG002
        tops: int,  # noqa: ARG002
    ) -> Sequence[Tensor]:
        return [_Sleep.apply(bottoms[0], self.forward_s, self.backward_s)]


def slow_net(**slow: tuple[float, float]) -> Net:
    """conv1, relu1 (in place), conv2, relu2; those named sleep so many seconds forward and backward."""
    layers = [Layer("data", Input((BlobShape((2, 3, 12, 12)),)), tops=("data",))]
    bottom = "data"
    for index in (1, 2):
        layers.append(convolution(f"conv{index}", bottom, 4, 3, Filler("xavier"), 0, pad=1))
        bottom, name = f"conv{index}", f"relu{index}"
        if name in slow:
            kind = SlowReLU(forward_s=slow[name][0], backward_s=slow[name][1])
            layers.append(Layer(name, kind, (bottom,), (bottom,)))
        else:
            layers.append(relu(name, bottom))
    return Net("slow", tuple(layers))
