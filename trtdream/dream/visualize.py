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
        InputRefused: the size is too small for the layer, or nothing in the pictures reaches it.
    """
    value = units[0].value
    seen = _seen_size(model, value, climb.size)
    wanted = sorted({value, *values_before_relu(model.graph, value)})
    module = model.module(wanted, device=device)
    shapes = _shapes(model, value, seen, seen)[-1]
    for unit in units:
        unit.check(shapes.tops[shapes.step.writes.index(value)])
    spectrum = noise_spectrum(climb.size, climb.seed).repeat(len(units), 1, 1, 1, 1).to(device).requires_grad_()
    adam = torch.optim.Adam([spectrum], lr=climb.rate)
    generator = torch.Generator().manual_seed(climb.seed)
    spec = model.pictures
    answers: list[Tensor] = []
    interrupted = False
    try:
        for _ in range(climb.steps):
            place = random_view(climb.wobble, climb.size, generator)
            blob = to_blob(view(picture_from_spectrum(spectrum, climb.size), place, seen), spec)
            answer = responses(units, module(blob.contiguous(memory_format=torch.channels_last), wanted), model.graph)
            _climb(adam, spectrum, answer, value)
            answers = [answers[0] if answers else answer.detach(), answer.detach()]
            on_step()
    except KeyboardInterrupt:
        interrupted = True
    with torch.no_grad():
        pixels = picture_from_spectrum(spectrum, climb.size).permute(0, 2, 3, 1).mul(255).round().byte()
    first, last = (tuple(answer.tolist()) for answer in answers) if answers else ((), ())
    return Visualised(pixels.cpu().numpy(), first, last, interrupted)


def width_of(model: Model, value: str) -> int:
    """How many channels a value has."""
    shapes = _shapes(model, value, *model.pictures.size)[-1]
    return shapes.tops[shapes.step.writes.index(value)][1]


def _climb(adam: torch.optim.Adam, spectrum: Tensor, answer: Tensor, value: str) -> None:
    """One step uphill for every picture at once: a picture's gradient knows nothing of the others."""
    adam.zero_grad()
    (-answer.sum()).backward()
    assert spectrum.grad is not None
    if not spectrum.grad.abs().sum() > 0:
        raise InputRefused(f"{value}: does not answer to noise, its gradient is zero everywhere or no number")
    adam.step()


def _seen_size(model: Model, value: str, size: int) -> int:
    """The side of what the network is shown: the picture's own, or the network's where its layers allow no other.

    An inner product takes one size alone.
    """
    height, width = model.pictures.size
    own = [weight.shape for step in _shapes(model, value, height, width) for weight in step.weights]
    try:
        other = [weight.shape for step in _shapes(model, value, size, size) for weight in step.weights]
    except InputRefused as error:
        raise InputRefused(f"--size {size} is too small: {error}") from error
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
