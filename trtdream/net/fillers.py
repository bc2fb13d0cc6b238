"""How weights start (Caffe's filler.hpp)."""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt
from typing import TYPE_CHECKING

from trtdream.net.kind import Shape
from trtdream.net.parameters import Filler, VarianceNorm

if TYPE_CHECKING:
    from torch import Generator, Tensor


def fill(filler: Filler, shape: Shape, generator: Generator | None = None) -> Tensor:
    """A float32 tensor of `shape`, filled.

    The distributions are Caffe's; the random numbers are torch's.

    Raises:
        ValueError: an unknown type, one that does not go with the shape, or `sparse` with another than gaussian.
    """
    import torch

    if filler.type not in FILLERS:
        raise ValueError(f"unknown filler type {filler.type!r}; there are {', '.join(FILLERS)}")
    if filler.sparse != -1 and filler.type != "gaussian":
        raise ValueError(f"sparse goes with a gaussian filler, not with {filler.type}")
    tensor = torch.empty(shape)
    FILLERS[filler.type](filler, tensor, generator)
    return tensor


def _constant(filler: Filler, tensor: Tensor, generator: Generator | None) -> None:
    tensor.fill_(filler.value)


def _uniform(filler: Filler, tensor: Tensor, generator: Generator | None) -> None:
    tensor.uniform_(filler.min, filler.max, generator=generator)


def _gaussian(filler: Filler, tensor: Tensor, generator: Generator | None) -> None:
    tensor.normal_(filler.mean, filler.std, generator=generator)
    if filler.sparse >= 0:
        # `sparse` is how many non-zero weights an output has on average, over shape[0] outputs.
        kept = tensor.new_empty(tensor.shape).uniform_(generator=generator) < filler.sparse / tensor.shape[0]
        tensor.mul_(kept)


def _positive_unitball(filler: Filler, tensor: Tensor, generator: Generator | None) -> None:
    tensor.uniform_(generator=generator)
    rows = tensor.view(tensor.shape[0] if tensor.dim() else 1, -1)
    rows.div_(rows.sum(1, keepdim=True))


def _xavier(filler: Filler, tensor: Tensor, generator: Generator | None) -> None:
    bound = sqrt(3 / _fan(filler, tuple(tensor.shape)))
    tensor.uniform_(-bound, bound, generator=generator)


def _msra(filler: Filler, tensor: Tensor, generator: Generator | None) -> None:
    tensor.normal_(0, sqrt(2 / _fan(filler, tuple(tensor.shape))), generator=generator)


def _bilinear(filler: Filler, tensor: Tensor, generator: Generator | None) -> None:
    """Weights with which a Deconvolution enlarges a picture by ceil(kernel / 2)."""
    import torch

    if tensor.dim() != 4 or tensor.shape[2] != tensor.shape[3]:
        raise ValueError(f"a bilinear filler wants a square kernel, not {tuple(tensor.shape)}")
    factor = (tensor.shape[3] + 1) // 2
    centre = (2 * factor - 1 - factor % 2) / (2 * factor)
    ramp = 1 - (torch.arange(tensor.shape[3]) / factor - centre).abs()
    tensor.copy_(ramp[:, None] * ramp[None, :])


def _fan(filler: Filler, shape: Shape) -> float:
    """Inputs or outputs of a unit: count / shape[0] and count / shape[1]."""
    outputs, inputs, *_ = (*shape, 1, 1)
    fan_in, fan_out = prod(shape) / outputs, prod(shape) / inputs
    return {
        VarianceNorm.FAN_IN: fan_in,
        VarianceNorm.FAN_OUT: fan_out,
        VarianceNorm.AVERAGE: (fan_in + fan_out) / 2,
    }[filler.variance_norm]


FILLERS: dict[str, Callable[[Filler, Tensor, Generator | None], None]] = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "positive_unitball": _positive_unitball,
    "xavier": _xavier,
    "msra": _msra,
    "bilinear": _bilinear,
}
