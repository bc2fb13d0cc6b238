"""Shapes, weights and work of every layer, for inputs of any size."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from trtdream.errors import InputRefused, UsageError
from trtdream.net.graph import Graph, Step
from trtdream.net.kind import Shape, Weight
from trtdream.net.kinds.inputs import Pictures, UnknownShape


@dataclass(frozen=True)
class LayerShapes:
    """One step's shapes: of its bottoms, its tops and its weights."""

    step: Step
    bottoms: tuple[Shape, ...]
    tops: tuple[Shape, ...]
    weights: tuple[Weight, ...]

    @property
    def parameters(self) -> int:
        """How many numbers the layer's weights hold (shared ones are counted with every layer that has them)."""
        return sum(weight.size for weight in self.weights)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one forward pass."""
        return self.step.layer.kind.macs(self.bottoms, self.tops)

    @property
    def activations(self) -> int:
        """How many numbers the tops hold."""
        return sum(prod(top) for top in self.tops)


def infer_shapes(
    graph: Graph, inputs: Mapping[str, Shape] | None = None, until: Sequence[str] | None = None
) -> tuple[LayerShapes, ...]:
    """Shapes of every step, in order.

    Args:
        inputs: shapes of input blobs, where they are to differ from the net's own. If only a data layer's pictures are
            given, their labels follow.
        until: values that are wanted; steps that none of them needs are left out.

    Raises:
        InputRefused: shapes that do not fit, named with the layer and its line.
        UsageError: an input that does not exist, or whose shape neither the net nor `inputs` tells.
    """
    given = dict(inputs or {})
    for step in graph.steps:
        if isinstance(step.layer.kind, Pictures) and step.writes[0] in given:
            given |= {label: given[step.writes[0]][:1] for label in step.writes[1:] if label not in given}
    if unknown := sorted(set(given) - set(graph.inputs)):
        raise UsageError(f"{graph.net.name} has no input {', '.join(unknown)}; it has {', '.join(graph.inputs)}")
    shapes: dict[str, Shape] = {}
    inferred = []
    for step in needed_steps(graph, until):
        bottoms = tuple(shapes[value] for value in step.reads)
        tops = _top_shapes(graph, step, bottoms, given)
        shapes.update(zip(step.writes, tops, strict=True))
        inferred.append(LayerShapes(step, bottoms, tops, _weights(graph, step, bottoms)))
    return tuple(inferred)


def needed_steps(graph: Graph, until: Sequence[str] | None, given: Collection[str] = ()) -> list[Step]:
    """The steps, in order, that the values in `until` depend on, beyond those already given; all if None."""
    if until is None:
        return list(graph.steps)
    wanted = set(until).difference(given)
    needed = []
    for step in reversed(graph.steps):
        if wanted.intersection(step.writes):
            wanted.update(set(step.reads).difference(given))
            needed.append(step)
    return needed[::-1]


def _top_shapes(graph: Graph, step: Step, bottoms: tuple[Shape, ...], given: Mapping[str, Shape]) -> tuple[Shape, ...]:
    try:
        if step.writes and all(value in given for value in step.writes):
            tops = [tuple(given[value]) for value in step.writes]
        else:
            inferred = step.layer.kind.top_shapes(bottoms, len(step.writes))
            tops = [tuple(given.get(value, top)) for value, top in zip(step.writes, inferred, strict=True)]
    except UnknownShape as error:
        lacking = ", ".join(value for value in step.writes if value not in given)
        raise UsageError(
            f"{graph.net.name}: {step.layer}: {error}; give the shape of {lacking}, as in --input NAME=1x3x224x224"
        ) from error
    except ValueError as error:
        raise InputRefused(f"{graph.net.name}: {step.layer}: {error}") from error
    if any(size < 1 for top in tops for size in top):
        raise InputRefused(f"{graph.net.name}: {step.layer}: its top would have the shape {tops}")
    return tuple(tops)


def _weights(graph: Graph, step: Step, bottoms: tuple[Shape, ...]) -> tuple[Weight, ...]:
    try:
        weights = tuple(step.layer.kind.weights(bottoms))
    except ValueError as error:
        raise InputRefused(f"{graph.net.name}: {step.layer}: {error}") from error
    if len(step.layer.params) > len(weights):
        raise InputRefused(
            f"{graph.net.name}: {step.layer}: has {len(step.layer.params)} param for {len(weights)} weights"
        )
    return weights
