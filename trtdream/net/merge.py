"""Convolutions of one geometry that read one value, computed as one: an inception module's three 1 x 1 branches.

The filters lie one after the other, the output is cut into the branches' values. Where each of those is read by nothing
but a ReLU, the ReLU is taken over all of them at once, before the cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from trtdream.net.graph import Step
from trtdream.net.kinds.activation import ReLU
from trtdream.net.kinds.combine import Slice
from trtdream.net.kinds.convolution import Convolution
from trtdream.net.net import Layer
from trtdream.net.parameters import Filler


@dataclass(frozen=True)
class Merged:
    """Steps with the same values as before, and the layers that a merged one stands for."""

    steps: tuple[Step, ...]
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def parts_of(self, step: Step) -> tuple[str, ...]:
        """The layers whose weights the step computes with, in the order of its outputs."""
        return self.parts.get(step.layer.name, (step.layer.name,))


def merge_branches(steps: Sequence[Step], kept: Collection[str]) -> Merged:
    """Merge what can be merged.

    Args:
        kept: values that must exist for themselves; a ReLU behind one of them stays by itself.
    """
    groups: dict[Hashable, list[Step]] = {}
    for step in steps:
        if isinstance(step.layer.kind, Convolution) and len(step.reads) == 1:
            groups.setdefault(_alike(step, step.layer.kind), []).append(step)
    replacing: dict[str, tuple[Step, ...]] = {}
    parts: dict[str, tuple[str, ...]] = {}
    for branches in groups.values():
        if len(branches) < 2:
            continue
        relus = _relus_behind(branches, steps, kept)
        merged = _merged(branches, relus)
        replacing |= {step.layer.name: () for step in (*branches, *relus)} | {branches[0].layer.name: merged}
        parts[merged[0].layer.name] = tuple(branch.layer.name for branch in branches)
    return Merged(tuple(new for step in steps for new in replacing.get(step.layer.name, (step,))), parts)


def _alike(step: Step, kind: Convolution) -> Hashable:
    """Equal for those that can be one; those with groups only with themselves."""
    geometry = replace(kind, num_output=1, group=1, weight_filler=Filler(), bias_filler=Filler())
    itself = step.layer.name if kind.group > 1 else ""
    return step.reads, geometry, step.layer.phase, step.layer.propagate_down, itself


def _relus_behind(branches: Sequence[Step], steps: Sequence[Step], kept: Collection[str]) -> list[Step]:
    """The ReLU that alone reads each branch, if all have one and all are the same; otherwise none."""
    readers = Counter(name for step in steps for name in step.reads)
    relu_of = {step.reads[0]: step for step in steps if isinstance(step.layer.kind, ReLU)}
    values = [branch.writes[0] for branch in branches]
    if not all(value in relu_of and readers[value] == 1 and value not in kept for value in values):
        return []
    relus = [relu_of[value] for value in values]
    alike = {(relu.layer.kind, relu.layer.phase, relu.layer.propagate_down) for relu in relus}
    return relus if len(alike) == 1 else []


def _merged(branches: Sequence[Step], relus: Sequence[Step]) -> tuple[Step, ...]:
    first = branches[0].layer
    kinds = [branch.layer.kind for branch in branches]
    sizes = [kind.num_output for kind in kinds if isinstance(kind, Convolution)]
    name = " + ".join(branch.layer.name for branch in branches)
    convolution = replace(first, name=name, kind=_with_outputs(first, sum(sizes)))
    steps = [Step(convolution, branches[0].reads, (name,))]
    if relus:
        steps.append(Step(relus[0].layer, (name,), (f"{name} (ReLU)",)))
    cut = Layer(f"{name} (cut)", Slice(slice_point=tuple(accumulate(sizes[:-1]))), phase=first.phase)
    parts = tuple(step.writes[0] for step in relus or branches)
    return (*steps, Step(cut, steps[-1].writes, parts))


def _with_outputs(layer: Layer, outputs: int) -> Convolution:
    assert isinstance(layer.kind, Convolution)
    return replace(layer.kind, num_output=outputs)
