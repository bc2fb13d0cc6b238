"""What gives a step its gradient: the picture whole; `tiles.py` gives the same of a picture in tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from trtdream.dream.objectives import Objective, Values
from trtdream.net.torch_module import TorchNet


class Engine(Protocol):
    """The objective's value for a picture, and its gradient."""

    def __call__(self, data: Tensor) -> tuple[Tensor, Tensor]:
        """Take a blob 1 x C x H x W, float32.

        Returns:
            The objective (one number, float32, still on the device) and its gradient, float32, of the blob's shape.
        """


@dataclass(frozen=True)
class WholeEngine:
    """The picture at once. No layer runs that the objective does not need."""

    module: TorchNet
    objective: Objective

    def __call__(self, data: Tensor) -> tuple[Tensor, Tensor]:
        seen = data.detach().requires_grad_()
        found = self.module(seen, sorted(self.objective.values))
        return uphill(self.objective.score, found, seen, scaled=bool(self.module.forms.gradients))


def uphill(score: Callable[[Values], Tensor], found: Values, seen: Tensor, scaled: bool) -> tuple[Tensor, Tensor]:
    """A score of values found in what was seen, and its gradient to it.

    Args:
        scaled: what goes back through the network is at most 1 at its start, and scaled back at its end: float16 ends
            at 65504.
    """
    if not scaled:
        total = score(found)
        (gradient,) = torch.autograd.grad(total, seen)
        return total.detach(), gradient
    leaves = {name: blob.detach().requires_grad_() for name, blob in found.items()}
    total = score(leaves)
    slopes = torch.autograd.grad(total, list(leaves.values()))
    most = torch.stack([slope.abs().amax() for slope in slopes]).amax().clamp(min=1e-30)
    (gradient,) = torch.autograd.grad(list(found.values()), seen, [slope / most for slope in slopes])
    return total.detach(), gradient * most
