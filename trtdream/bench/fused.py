"""A backend's own profile joined to the layers' names: what it fused is one row, with the names that it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from trtdream.bench.limits import Limits, bound
from trtdream.bench.nettime import LayerTime, Pass
from trtdream.bench.work import Work
from trtdream.net.shapes import LayerShapes

if TYPE_CHECKING:
    import onnx

    from trtdream.bench.timing import Timing

Profile = Mapping[str, float]
"""Milliseconds of one run by the name that the backend gives what it ran."""


@dataclass(frozen=True)
class Held:
    """What a backend's kernel is of: layers in the network's order, or a label for work of its own, as reordering."""

    layers: tuple[str, ...] = ()
    label: str = ""

    @property
    def name(self) -> str:
        return " + ".join(self.layers) or self.label


class Names:
    """From the names of a graph's nodes, which are `layer` or `layer/...`, to layers."""

    def __init__(self, graph: onnx.GraphProto, layers: Sequence[str]) -> None:
        self._order = {name: index for index, name in enumerate(layers)}
        self._nodes = {node.name: layer for node in graph.node if (layer := self.layer(node.name))}
        longest_first = sorted((re.escape(name) for name in self._nodes), key=len, reverse=True)
        # a name within a text ends where no character follows that a longer name could go on with
        self._pattern = re.compile(rf"(?<![\w/])(?:{'|'.join(longest_first)})(?![\w/])")
        self._above = _producers(graph)

    def layer(self, node: str) -> str | None:
        """The layer that a node's name begins with; of several the longest. Backends put their own marks behind it."""
        ends = [len(node), *(match.start() for match in re.finditer(r"\W|_", node))]
        return next((node[:end] for end in sorted(ends, reverse=True) if node[:end] in self._order), None)

    def within(self, text: str) -> tuple[str, ...]:
        """The layers whose nodes' names stand anywhere in what a backend calls its kernel."""
        return self._sorted(self._nodes[found] for found in self._pattern.findall(text))

    def holders(self, ran: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """For layers of which something ran, all that each stands for: itself, and what follows it and never ran.

        A backend that fuses keeps the first node's name, so that a layer of which no node ran belongs to the nearest
        one before it that did.
        """
        held = {layer: {layer} for layer in ran}
        for node, layer in self._nodes.items():
            if layer not in held and (owner := self._owner(node, held)):
                held[owner].add(layer)
        return {layer: self._sorted(layers) for layer, layers in held.items()}

    def _owner(self, node: str | None, held: Mapping[str, set[str]]) -> str | None:
        while node is not None and self._nodes.get(node) not in held:
            node = self._above.get(node)
        return None if node is None else self._nodes[node]

    def _sorted(self, layers: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(set(layers), key=self._order.__getitem__))


def rows_of_profile(
    timings: Mapping[Held, Timing], layers: Sequence[LayerShapes], precision: str, number_bytes: int, limits: Limits
) -> tuple[LayerTime, ...]:
    """One row for each thing held, in the network's order; a backend's own work stands at the end."""
    by_name = {shapes.step.layer.name: shapes for shapes in layers}
    order = {name: index for index, name in enumerate(by_name)}
    rows = []
    for held in sorted(timings, key=lambda one: order[one.layers[0]] if one.layers else len(order)):
        group = [by_name[name] for name in held.layers]
        work = group_work(group, number_bytes)
        kinds = " + ".join(shapes.step.layer.kind.type_name for shapes in group)
        done = Pass(timings[held], work, bound(timings[held].median_ms, work, precision, limits))
        holds = held.layers if len(held.layers) > 1 else ()
        rows.append(LayerTime(held.name, kinds, sum(shapes.macs for shapes in group), done, holds=holds))
    return tuple(rows)


def group_work(group: Sequence[LayerShapes], number_bytes: int) -> Work:
    """Layers run as one: what passes from one to another within them is neither read nor written."""
    written = {name for shapes in group for name in shapes.step.writes}
    read = {name for shapes in group for name in shapes.step.reads}
    moved = sum(shapes.parameters for shapes in group)
    for shapes in group:
        moved += _outside(shapes.step.reads, shapes.bottoms, written) + _outside(shapes.step.writes, shapes.tops, read)
    return Work(2 * sum(shapes.macs for shapes in group), moved * number_bytes)


def sums(profile: Profile, held: Callable[[str], Held]) -> dict[Held, float]:
    """Milliseconds of one run by what they are of."""
    found: dict[Held, float] = {}
    for name, milliseconds in profile.items():
        key = held(name)
        found[key] = found.get(key, 0.0) + milliseconds
    return found


def _outside(names: Sequence[str], shapes: Sequence[Sequence[int]], inside: set[str]) -> int:
    return sum(prod(shape) for name, shape in zip(names, shapes, strict=True) if name not in inside)


def _producers(graph: onnx.GraphProto) -> dict[str, str]:
    """For each node the one that makes its first computed input."""
    makers = {output: node.name for node in graph.node for output in node.output}
    found = {}
    for node in graph.node:
        above = next((makers[name] for name in node.input if name in makers), None)
        if above is not None:
            found[node.name] = above
    return found
