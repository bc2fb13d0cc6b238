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

Neuron = tuple[int, int]
"""Row and column in a layer's map."""


@dataclass(frozen=True)
class Unit:
    """A layer's value; of it one channel, or all (None); of that one neuron, the middle one ("centre"), or the map."""

    value: str
    channel: int | None = None
    neuron: Neuron | str | None = None

    def check(self, shape: Sequence[int]) -> None:
        """Raises UsageError if a value of this shape, N x C (x H x W), has no such unit."""
        if self.channel is not None and not 0 <= self.channel < shape[1]:
            raise UsageError(f"channel {self.channel}: {self.value} has {shape[1]} channels, 0 to {shape[1] - 1}")
        if self.neuron is None:
            return
        if self.channel is None:
            raise UsageError("--neuron: say with --channel which channel it is of")
        if len(shape) != 4:
            raise UsageError(f"--neuron: {self.value} has one number a channel, no map to choose a neuron from")
        if isinstance(self.neuron, tuple) and not (
            0 <= self.neuron[0] < shape[2] and 0 <= self.neuron[1] < shape[3]
        ):
            raise UsageError(f"--neuron {self.neuron[0]},{self.neuron[1]}: {self.value} is {shape[2]} x {shape[3]}")


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
        elif unit.neuron is None:
            answers.append(one[unit.channel].mean())
        else:
            row, column = _place(unit.neuron, one.shape[-2:])
            answers.append(one[unit.channel, row, column])
    return torch.stack(answers)


def _place(neuron: Neuron | str, size: Sequence[int]) -> Neuron:
    return neuron if isinstance(neuron, tuple) else (size[0] // 2, size[1] // 2)


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
