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
    """The picture at once. No layer runs that the objective does not need.

    Attributes:
        module: of `dtype`; its weights want no gradients.
        dtype: of the network; the blob is cast to it, the gradient back from it.
    """

    module: TorchNet
    objective: Objective
    dtype: torch.dtype = torch.float32

    def __call__(self, data: Tensor) -> tuple[Tensor, Tensor]:
        seen = data.detach().to(self.dtype).requires_grad_()
        return uphill(self.objective.score, self.module(seen, sorted(self.objective.values)), seen)


def uphill(score: Callable[[Values], Tensor], found: Values, seen: Tensor) -> tuple[Tensor, Tensor]:
    """A score of values found in what was seen, and its gradient to it; both float32 (or wider, as the values are).

    Half precision: the score and its gradient to the values are taken in float32, and what goes back through the
    network is scaled to at most 1, for float16 ends at 65504.
    """
    if seen.dtype not in (torch.float16, torch.bfloat16):
        total = score(found)
        (gradient,) = torch.autograd.grad(total, seen)
        return total.detach(), gradient
    wide = {name: blob.detach().float().requires_grad_() for name, blob in found.items()}
    total = score(wide)
    slopes = torch.autograd.grad(total, list(wide.values()))
    most = torch.stack([slope.abs().amax() for slope in slopes]).amax().clamp(min=1e-30)
    down = [(slope / most).to(seen.dtype) for slope in slopes]
    (gradient,) = torch.autograd.grad(list(found.values()), seen, down)
    return total.detach(), gradient.float() * most
