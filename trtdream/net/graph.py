"""A network of one phase with its blobs resolved: who writes what, who reads it, and in which version.

An in-place layer writes a blob anew. The last writer owns the blob's name; the value that an earlier layer
wrote is called `blob@layer`. A step reads and writes such values, each written once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from trtdream.errors import InputRefused, UsageError
from trtdream.net.kind import MANY
from trtdream.net.net import Layer, Net

AUTOMATIC = "(automatic)"
"""Caffe's name for the top of a loss layer that names none."""


@dataclass(frozen=True)
class Step:
    """A layer with the values it reads and writes, in the order of its bottoms and tops."""

    layer: Layer
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """The steps of a network in order, and what its blob names stand for."""

    net: Net
    steps: tuple[Step, ...]

    @cached_property
    def layers(self) -> Mapping[str, Step]:
        return {step.layer.name: step for step in self.steps}

    @cached_property
    def values(self) -> Mapping[str, Step]:
        """Every value and the step that writes it."""
        return {value: step for step in self.steps for value in step.writes}

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Values given from outside."""
        return tuple(value for step in self.steps if step.layer.kind.is_input for value in step.writes)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Values that no layer reads, by blob name, as Caffe prints them."""
        read = {value for step in self.steps for value in step.reads}
        return tuple(sorted(value for value in self.values if value not in read))

    def at_layer(self, name: str) -> str:
        """The value that stands where a dream's `--layer NAME` points: what the layer of that name writes.

        For a convolution with an in-place ReLU behind it that is the value before the ReLU, as in Caffe's
        `forward(end=NAME)`; a name that is only a blob's means the blob.

        Raises:
            UsageError: there is neither a layer nor a blob of that name; the nearest names are offered.
        """
        step = self.layers.get(name)
        if step is not None and step.writes:
            return step.writes[0]
        return self.blob(name)

    def blob(self, name: str) -> str:
        """The value of a blob's last writer.

        Raises:
            UsageError: there is no such blob; the nearest names are offered.
        """
        if name in self.values:
            return name
        raise UsageError(f"{self.net.name}: no layer or blob is called {name!r}{self._nearest(name)}")

    def _nearest(self, name: str) -> str:
        near = get_close_matches(name, {*self.values, *self.layers}, n=3, cutoff=0.5)
        return f"; did you mean {' or '.join(near)}?" if near else "; `trtdream layers` lists them"


def connect(net: Net) -> Graph:
    """Resolve the blobs of a network of one phase (see `Net.for_phase`).

    Raises:
        InputRefused: a bottom that nothing has written yet, a blob or layer name given twice, a wrong number of
            bottoms or tops, parameters that contradict each other.
    """
    writers: dict[str, list[int]] = {}
    for index, layer in enumerate(net.layers):
        for top in layer.tops:
            writers.setdefault(top, []).append(index)
    seen: set[str] = set()
    written: dict[str, str] = {}
    steps = []
    for index, layer in enumerate(net.layers):
        if layer.name in seen:
            raise InputRefused(f"{net.name}: {layer}: a layer of that name stands before it")
        seen.add(layer.name)
        _check(net, layer)
        reads = tuple(_read(net, layer, bottom, written, writers) for bottom in layer.bottoms)
        writes = []
        for slot, top in enumerate(_tops(layer)):
            if top in written:
                _check_in_place(net, layer, slot, top)
            value = top if index == writers.get(top, [index])[-1] else f"{top}@{layer.name}"
            written[top] = value
            writes.append(value)
        steps.append(Step(layer, reads, tuple(writes)))
    return Graph(net, tuple(steps))


def _tops(layer: Layer) -> tuple[str, ...]:
    return layer.tops or ((f"{AUTOMATIC}@{layer.name}",) if layer.kind.is_loss else ())


def _read(net: Net, layer: Layer, bottom: str, written: Mapping[str, str], writers: Mapping[str, Sequence[int]]) -> str:
    if bottom in written:
        return written[bottom]
    if bottom in writers:
        later = net.layers[writers[bottom][0]].name
        raise InputRefused(
            f"{net.name}: {layer}: its bottom {bottom!r} is written only by {later!r}, which does not stand before it"
            " (a cycle, or layers out of order)"
        )
    raise InputRefused(f"{net.name}: {layer}: its bottom {bottom!r} is written by no layer")


def _check_in_place(net: Net, layer: Layer, slot: int, top: str) -> None:
    """A blob may be written again only by a layer whose bottom, in the same slot, it is (net.cpp, AppendTop)."""
    if layer.bottoms[slot : slot + 1] != (top,):
        raise InputRefused(f"{net.name}: {layer}: blob {top!r} is written by a layer before it")
    if not layer.kind.may_be_in_place:
        raise InputRefused(f"{net.name}: {layer}: does not work in place: give its top another name than {top!r}")


def _check(net: Net, layer: Layer) -> None:
    try:
        layer.kind.check()
    except ValueError as error:
        raise InputRefused(f"{net.name}: {layer}: {error}") from error
    for what, names, (least, most) in (
        ("bottom", layer.bottoms, layer.kind.bottoms),
        ("top", _tops(layer), layer.kind.tops),
    ):
        if not least <= len(names) <= most:
            wanted = f"{least}" if least == most else f"{least} or more" if most == MANY else f"{least} to {most}"
            raise InputRefused(f"{net.name}: {layer}: has {len(names)} {what}s, wants {wanted}")
    if len(set(layer.tops)) < len(layer.tops):
        raise InputRefused(f"{net.name}: {layer}: names a top twice")
    if len(layer.loss_weight) not in (0, len(_tops(layer))):
        raise InputRefused(f"{net.name}: {layer}: loss_weight is given once a top, or not at all")
    if len(layer.propagate_down) not in (0, len(layer.bottoms)):
        raise InputRefused(f"{net.name}: {layer}: propagate_down is given once a bottom, or not at all")
