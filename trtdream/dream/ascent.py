"""One step uphill: change the picture so that a layer answers more strongly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trtdream.dream.objectives import Objective
from trtdream.errors import InputRefused
from trtdream.net.torch_module import TorchNet


@dataclass(frozen=True)
class Step:
    """What stays the same from step to step.

    Attributes:
        objective: what grows.
        size: how far to go, in units of the mean magnitude of the gradient, on the scale of 0..255.
        low, high: bounds of a pixel for each channel, 1 x C x 1 x 1: black and white minus the mean.
    """

    objective: Objective
    size: float
    low: Tensor
    high: Tensor


def ascend(module: TorchNet, data: Tensor, step: Step, shift: tuple[int, int]) -> tuple[Tensor, float]:
    """One step of the original notebook's `make_step`.

    Args:
        data: the picture as a blob, 1 x C x H x W.
        shift: jitter, in pixels, along width and height: the picture is rolled before the step and back after it.

    Returns:
        The changed blob, and the objective before the change.

    Raises:
        InputRefused: the layer does not answer to this picture at all (its gradient is zero everywhere).
    """
    rolled = data.roll((shift[1], shift[0]), dims=(2, 3)).requires_grad_()
    objective = step.objective.score(module(rolled, sorted(step.objective.values)))
    (gradient,) = torch.autograd.grad(objective, rolled)
    strength = gradient.abs().mean()
    if not strength > 0:
        named = ", ".join(sorted(step.objective.values))
        raise InputRefused(f"{named}: does not answer to this picture, the gradient is zero everywhere or no number")
    moved = rolled.detach() + gradient * (step.size / strength)
    clipped = torch.maximum(torch.minimum(moved, step.high), step.low)
    return clipped.roll((-shift[1], -shift[0]), dims=(2, 3)), objective.item()
