"""Receptive fields: which pixels of the input a place of a value is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trtdream.errors import UsageError
from trtdream.net.graph import Graph, Step
from trtdream.net.kind import Reach
from trtdream.net.shapes import needed_steps

Pair = tuple[int, int]


@dataclass(frozen=True)
class Field:
    """Place i of a value is made of the pixels i * stride + start to i * stride + end - 1; pairs are (height, width).

    start is negative where padding comes in. Outside the picture lies padding, of the input or of a layer between.
    """

    stride: Pair = (1, 1)
    start: Pair = (0, 0)
    end: Pair = (1, 1)

    @property
    def size(self) -> Pair:
        """Height and width in pixels."""
        return self.end[0] - self.start[0], self.end[1] - self.start[1]

    def seen_by(self, reach: Reach) -> Field:
        """The field of a layer's top, whose bottom has this one."""
        start, end, stride = [], [], []
        for side in (0, 1):
            first = -reach.pad[side]
            start.append(self.start[side] + first * self.stride[side])
            end.append(self.end[side] + (first + reach.extent[side] - 1) * self.stride[side])
            stride.append(self.stride[side] * reach.stride[side])
        return Field((stride[0], stride[1]), (start[0], start[1]), (end[0], end[1]))

    def joined(self, other: Field) -> Field:
        """What either of two values of one stride is made of."""
        start = (min(self.start[0], other.start[0]), min(self.start[1], other.start[1]))
        return Field(self.stride, start, (max(self.end[0], other.end[0]), max(self.end[1], other.end[1])))


def receptive_fields(graph: Graph, values: Sequence[str]) -> dict[str, Field]:
    """The receptive field of each value in the network's first input.

    Raises:
        UsageError: a value has none: a layer before it looks at the whole picture, or in no regular way.
    """
    fields: dict[str, Field] = {graph.inputs[0]: Field()}
    for step in needed_steps(graph, values, given=[graph.inputs[0]]):
        field = _field(graph, step, fields)
        fields.update(dict.fromkeys(step.writes, field))
    return {value: fields[value] for value in values}


def _field(graph: Graph, step: Step, fields: dict[str, Field]) -> Field:
    reach = step.layer.kind.reach()
    if reach is None:
        raise UsageError(f"{graph.net.name}: {step.layer}: its top depends on the whole picture, not on a part of it")
    joined: Field | None = None
    for value in step.reads:
        field = fields[value].seen_by(reach)
        if joined is not None and joined.stride != field.stride:
            raise UsageError(f"{graph.net.name}: {step.layer}: its bottoms have different strides in the picture")
        joined = field if joined is None else joined.joined(field)
    if joined is None:
        raise UsageError(f"{graph.net.name}: {step.layer}: does not depend on {graph.inputs[0]}")
    return joined
