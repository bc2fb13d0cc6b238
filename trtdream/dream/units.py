"""What a visualisation makes grow: a whole layer, one of its channels, or one neuron; a number for each picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trtdream.errors import UsageError
from trtdream.net.graph import Graph
from trtdream.net.kinds.activation import ReLU
from trtdream.net.kinds.combine import Concat
from trtdream.net.kinds.lrn import LRN
from trtdream.net.kinds.pooling import Pooling
from trtdream.net.kinds.probability import Dropout

Place = tuple[float, float]
"""Fractions of the way across and down a layer's map; (0.5, 0.5) is its middle."""


@dataclass(frozen=True)
class Unit:
    """A layer's value; of it one channel, or all (None); of that the neuron at one place, or all of them (None).

    Raises:
        UsageError: a place without a channel, or outside the map.
    """

    value: str
    channel: int | None = None
    at: Place | None = None

    def __post_init__(self) -> None:
        if self.at is not None and self.channel is None:
            raise UsageError("--neuron: is one of a channel's: say with --channel which")
        if self.at is not None and not all(0 <= share <= 1 for share in self.at):
            raise UsageError(f"--neuron {self.at[0]:g},{self.at[1]:g}: fractions of the way across and down, 0 to 1")

    def check(self, shape: Sequence[int]) -> None:
        """Raises UsageError if a value of this shape, N x C (x H x W), has no such unit."""
        if self.channel is not None and not 0 <= self.channel < shape[1]:
            raise UsageError(f"channel {self.channel}: {self.value} has {shape[1]} channels, 0 to {shape[1] - 1}")
        if self.at is not None and len(shape) != 4:
            raise UsageError(f"--neuron: {self.value} has one number a channel, no map to choose a neuron from")


def responses(units: Sequence[Unit], found: Mapping[str, Tensor], graph: Graph) -> Tensor:
    """How strongly each picture's own unit answers to it: N numbers for N units of one value, N x C (x H x W).

    A channel or neuron: its mean. A whole layer: the mean of the squares. A channel that is silent everywhere, behind
    a ReLU, has no gradient to wake it: then what it is before the ReLU counts instead (Lucid redirects the gradient).
    """
    name = units[0].value
    answers = _answers(units, found[name])
    silent = answers.detach() == 0
    if not silent.any():
        return answers
    before = _means_before_relu(graph, name, found)
    woken = torch.stack([_mean(one, unit.channel) for one, unit in zip(before, units, strict=True)])
    return torch.where(silent, woken, answers)


def _answers(units: Sequence[Unit], values: Tensor) -> Tensor:
    answers = []
    for one, unit in zip(values, units, strict=True):
        if unit.channel is None:
            answers.append((one * one).mean())
        elif unit.at is None:
            answers.append(one[unit.channel].mean())
        else:
            height, width = one.shape[1:]
            column, row = min(int(unit.at[0] * width), width - 1), min(int(unit.at[1] * height), height - 1)
            answers.append(one[unit.channel, row, column])
    return torch.stack(answers)


def _mean(one: Tensor, channel: int | None) -> Tensor:
    return (one if channel is None else one[channel]).mean()


_KEEPS_CHANNELS = (LRN, Pooling, Dropout)


def values_before_relu(graph: Graph, value: str) -> list[str]:
    """The values, before their ReLUs, whose channels one after the other are those of `value`."""
    step = graph.values[value]
    if isinstance(step.layer.kind, Concat) and step.layer.kind.axis == 1:
        return [name for bottom in step.reads for name in values_before_relu(graph, bottom)]
    if isinstance(step.layer.kind, _KEEPS_CHANNELS):
        return values_before_relu(graph, step.reads[0])
    return [step.reads[0] if isinstance(step.layer.kind, ReLU) else value]


def _means_before_relu(graph: Graph, value: str, found: Mapping[str, Tensor]) -> Tensor:
    """Each channel's mean over the map, N x C."""
    parts = [found[name].reshape(*found[name].shape[:2], -1).mean(2) for name in values_before_relu(graph, value)]
    return torch.cat(parts, 1)
