"""Steps uphill: change the picture so that what is wished for grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from trtdream.dream.engine import Engine
from trtdream.dream.normalise import NORMALISERS, TINY, mean_magnitude
from trtdream.recipe.dream_schema import Settings


class Rule(Protocol):
    """From a normalised gradient, which it may change in place, to the direction of the step.

    What it remembers lasts for one octave.
    """

    def __call__(self, gradient: Tensor) -> Tensor: ...

    def forget(self) -> None: ...


class Plain:
    """The gradient itself: the notebook's."""

    def __call__(self, gradient: Tensor) -> Tensor:
        return gradient

    def forget(self) -> None: ...


class Momentum:
    """A running sum of gradients, weighed so that a steady one gives steps as large as the plain rule's."""

    def __init__(self, like: Tensor, momentum: float) -> None:
        self.momentum = momentum
        self.velocity = torch.zeros_like(like)

    def __call__(self, gradient: Tensor) -> Tensor:
        self.velocity.mul_(self.momentum).add_(gradient, alpha=1 - self.momentum)
        return self.velocity

    def forget(self) -> None:
        self.velocity.zero_()


class Adam:
    """Kingma and Ba (2015): every pixel moves by about one step, however small its gradient."""

    def __init__(self, like: Tensor, beta1: float, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.first, self.second = torch.zeros_like(like), torch.zeros_like(like)
        self.steps = torch.zeros((), device=like.device)

    def __call__(self, gradient: Tensor) -> Tensor:
        self.steps += 1
        self.first.lerp_(gradient, 1 - self.beta1)
        self.second.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        divisor = torch.div(self.second, 1 - self.beta2**self.steps, out=gradient).sqrt_().add_(self.epsilon)
        return torch.div(self.first, divisor, out=divisor).div_(1 - self.beta1**self.steps)

    def forget(self) -> None:
        for memory in (self.first, self.second, self.steps):
            memory.zero_()


@dataclass(frozen=True)
class Bounds:
    """Of a pixel for each channel, 1 x C x 1 x 1: black and white as the network sees them."""

    low: Tensor
    high: Tensor


class Ascent:
    """The steps of one octave, and again of that octave in the next picture.

    Attributes:
        data: the picture as a blob, 1 x C x H x W, or several, N x C x H x W; each step changes it in place.

    Args:
        engine: gives the gradient.
        like: a blob of the octave's shape.
        size: how far a step goes, in units of the gradient's strength and of the blob.
        bounds: that no pixel leaves.
        mask: 1 x 1 x H x W, from 0 where the picture stays to 1 where it may change; None: everywhere.
    """

    def __init__(
        self, engine: Engine, like: Tensor, settings: Settings, size: float, bounds: Bounds, mask: Tensor | None = None
    ) -> None:
        self.engine = engine
        self.data = torch.empty_like(like, memory_format=torch.channels_last)
        self.size, self.bounds, self.mask = size, bounds, mask
        self._normalise = NORMALISERS[settings.normalise]
        self._rule = _rule(settings, self.data)
        self._tv, self._l2 = settings.tv, settings.l2

    def begin(self, data: Tensor) -> None:
        """Take a picture as a blob (a copy of it), and forget the steps before."""
        self.data.copy_(data)
        self._rule.forget()

    def step(self, shift: tuple[int, int]) -> Tensor:
        """One step; of plain settings, the original notebook's `make_step`.

        Args:
            shift: jitter, in pixels, along width and height: the picture is rolled before the gradient is taken, and
                the gradient rolled back.

        Returns:
            The objective before the change, and the gradient's strength: 2 x N, still on the device.
        """
        right, down = shift
        score, gradient = self.engine(rolled(self.data, down, right))
        gradient = rolled(gradient, -down, -right)
        return self.climb(score, gradient)

    def climb(self, score: Tensor, gradient: Tensor) -> Tensor:
        """Change the picture along a gradient, which is used up: of large pictures there is no memory for copies."""
        uphill, strength = self._normalise(gradient)
        uphill.nan_to_num_(0.0, 0.0, 0.0)  # a gradient that is no number leaves the picture as it is
        if self._tv:
            uphill.sub_(total_variation_gradient(self.data), alpha=self._tv)
        if self._l2:
            uphill.addcmul_(self.data, 1 / mean_magnitude(self.data).clamp(min=TINY), value=-self._l2)
        move = self._rule(uphill)
        if self.mask is None:
            self.data.add_(move, alpha=self.size)
        else:
            self.data.addcmul_(move, self.mask, value=self.size)
        torch.maximum(self.data, self.bounds.low, out=self.data)
        torch.minimum(self.data, self.bounds.high, out=self.data)
        return torch.stack([score, strength.flatten()])


def total_variation_gradient(data: Tensor) -> Tensor:
    """How the sum of squared differences between neighbouring pixels grows, scaled to a mean magnitude of one."""
    gradient = torch.zeros_like(data)
    for side in (2, 3):
        count = data.shape[side] - 1
        before, after = data.narrow(side, 0, count), data.narrow(side, 1, count)
        gradient.narrow(side, 1, count).add_(after).sub_(before)
        gradient.narrow(side, 0, count).add_(before).sub_(after)
    return NORMALISERS["mean"](gradient)[0]


def rolled(blob: Tensor, down: int, right: int) -> Tensor:
    """`blob.roll((down, right), (2, 3))` in one copy; torch makes two, one a side."""
    moved = torch.empty_like(blob)
    height, width = blob.shape[2:]
    down, right = down % height, right % width
    for to_rows, rows in ((slice(down, None), slice(height - down)), (slice(down), slice(height - down, None))):
        for to, columns in ((slice(right, None), slice(width - right)), (slice(right), slice(width - right, None))):
            moved[:, :, to_rows, to] = blob[:, :, rows, columns]
    return moved


def _rule(settings: Settings, like: Tensor) -> Rule:
    if settings.ascent == "momentum":
        return Momentum(like, settings.momentum)
    return Adam(like, settings.momentum) if settings.ascent == "adam" else Plain()
