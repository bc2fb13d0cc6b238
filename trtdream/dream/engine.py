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
    """The objective's value for each of several pictures of one size, and its gradient."""

    def __call__(self, data: Tensor) -> tuple[Tensor, Tensor]:
        """Take a blob N x C x H x W, float32.

        Returns:
            The objectives (N numbers, float32, still on the device) and their gradient, float32, of the blob's shape.
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
    """The scores of values found in N pictures that were seen, and their gradient to these.

    Args:
        score: of one picture's values, one number.
        scaled: what goes back through the network is at most 1 at its start, and scaled back at its end: float16 ends
            at 65504.
    """
    if not scaled:
        scores = _of_each(score, found)
        (gradient,) = torch.autograd.grad(scores.sum(), seen)
        return scores.detach(), gradient
    leaves = {name: blob.detach().requires_grad_() for name, blob in found.items()}
    scores = _of_each(score, leaves)
    slopes = torch.autograd.grad(scores.sum(), list(leaves.values()))
    most = torch.stack([slope.flatten(1).abs().amax(1) for slope in slopes]).amax(0).clamp(min=1e-30)  # N
    down = [slope / most.reshape(-1, *[1] * (slope.dim() - 1)) for slope in slopes]
    (gradient,) = torch.autograd.grad(list(found.values()), seen, down)
    return scores.detach(), gradient * most.reshape(-1, 1, 1, 1)


def _of_each(score: Callable[[Values], Tensor], found: Values) -> Tensor:
    count = len(next(iter(found.values())))
    if count == 1:
        return score(found)[None]
    each = {name: blob.split(1) for name, blob in found.items()}
    return torch.stack([score({name: blobs[index] for name, blobs in each.items()}) for index in range(count)])
