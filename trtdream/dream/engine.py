"""What gives a step its gradient: the picture whole; `tiles.py` gives the same of a picture in tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from trtdream.dream.objectives import Objective
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
        score = self.objective.score(self.module(seen, sorted(self.objective.values)))
        (gradient,) = torch.autograd.grad(score, seen)
        return score.detach().to(data.dtype), gradient.to(data.dtype)
