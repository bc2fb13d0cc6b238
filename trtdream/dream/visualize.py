"""Feature visualisation: from noise to the picture that a unit of a network answers to most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from trtdream.dream.spectrum import noise_spectrum, picture_from_spectrum
from trtdream.dream.units import Unit, responses, values_before_relu
from trtdream.dream.views import Wobble, random_view, to_blob, view
from trtdream.errors import InputRefused, UsageError
from trtdream.net.shapes import LayerShapes, infer_shapes
from trtdream.runtime.model import Model


@dataclass(frozen=True)
class Climb:
    """How to climb: side of the pictures in pixels, steps, Adam's rate, how much the views wobble, seed of both."""

    size: int = 160
    steps: int = 200
    rate: float = 0.05
    wobble: Wobble = field(default_factory=Wobble)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (("size", 16, 8192), ("steps", 1, 10**6), ("seed", 0, 2**63 - 1)):
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"--{name} {getattr(self, name)}: must be {least} at least and {most} at most")
        if not 0 < self.rate <= 10:
            raise UsageError(f"--rate {self.rate}: must be more than 0 and at most 10")


@dataclass(frozen=True)
class Visualised:
    """Pictures N x S x S x 3 uint8 RGB, N responses at the first and last step; whether Ctrl-C cut it short."""

    pictures: np.ndarray
    first: tuple[float, ...]
    last: tuple[float, ...]
    interrupted: bool = False


def visualize(
    model: Model,
    units: Sequence[Unit],
    climb: Climb,
    device: str = "cpu",
    on_step: Callable[[], None] = lambda: None,
) -> Visualised:
    """One picture for each unit, all in one batch; the units are of one value.

    All start from the same noise and are seen through the same views, so that they differ by their units alone.
    Ctrl-C ends it with what there is.

    Raises:
        UsageError: no such unit.
        InputRefused: nothing in the pictures reaches the layer.
    """
    climbing = _Climbing(model, units, climb, device)
    answers: list[Tensor] = []
    interrupted = False
    try:
        for _ in range(climb.steps):
            answer = climbing.step()
            answers = [answers[0] if answers else answer, answer]
            on_step()
    except KeyboardInterrupt:
        interrupted = True
    first, last = (tuple(answer.tolist()) for answer in answers) if answers else ((), ())
    return Visualised(climbing.pictures(), first, last, interrupted)


class _Climbing:
    """The spectra of one batch on their way up."""

    def __init__(self, model: Model, units: Sequence[Unit], climb: Climb, device: str) -> None:
        self.model, self.units, self.climb = model, units, climb
        self.value = units[0].value
        self.seen = _seen_size(model, self.value, climb.size)
        shapes = _shapes(model, self.value, self.seen, self.seen)[-1]
        for unit in units:
            unit.check(shapes.tops[shapes.step.writes.index(self.value)])
        self.wanted = sorted({self.value, *values_before_relu(model.graph, self.value)})
        self.module = model.module(self.wanted, device=device)
        start = noise_spectrum(climb.size, climb.seed).repeat(len(units), 1, 1, 1, 1)
        self.spectrum = start.to(device).requires_grad_()
        self.adam = torch.optim.Adam([self.spectrum], lr=climb.rate)
        self.views = torch.Generator().manual_seed(climb.seed)

    def step(self) -> Tensor:
        """One step uphill for every picture at once, none of which knows of the others; the responses before it."""
        place = random_view(self.climb.wobble, self.climb.size, self.views)
        picture = view(picture_from_spectrum(self.spectrum, self.climb.size), place, self.seen)
        blob = to_blob(picture, self.model.pictures).contiguous(memory_format=torch.channels_last)
        answer = responses(self.units, self.module(blob, self.wanted), self.model.graph)
        self.adam.zero_grad()
        (-answer.sum()).backward()
        gradient = self.spectrum.grad
        if gradient is None or not gradient.abs().sum() > 0:
            raise InputRefused(f"{self.value}: does not answer to noise, its gradient is zero everywhere or no number")
        self.adam.step()
        return answer.detach()

    def pictures(self) -> np.ndarray:
        """N x S x S x 3 uint8 RGB."""
        with torch.no_grad():
            pixels = picture_from_spectrum(self.spectrum, self.climb.size).mul(255).round().byte()
        return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())


def width_of(model: Model, value: str) -> int:
    """How many channels a value has."""
    shapes = _shapes(model, value, *model.pictures.size)[-1]
    return shapes.tops[shapes.step.writes.index(value)][1]


def _seen_size(model: Model, value: str, size: int) -> int:
    """The side of what the network is shown: the picture's own, or the network's where its layers do not take that.

    An inner product takes one size alone, a pooling none below its kernel's.
    """
    height, width = model.pictures.size
    own = [weight.shape for step in _shapes(model, value, height, width) for weight in step.weights]
    try:
        other = [weight.shape for step in _shapes(model, value, size, size) for weight in step.weights]
    except InputRefused:  # too small for the layer
        other = []
    if own == other:
        return size
    if height != width:
        raise InputRefused(
            f"{model.net.name}: {value} takes pictures of {width} x {height} alone, none that are square"
        )
    return height


def _shapes(model: Model, value: str, height: int, width: int) -> Sequence[LayerShapes]:
    spec = model.pictures
    return infer_shapes(model.graph, {model.graph.inputs[0]: (1, len(spec.mean), height, width)}, [value])
