"""What a forward pass runs, in order: the steps that the wanted values need, in the forms that are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from trtdream.net.forms import Forms, NarrowConvolution, in_form
from trtdream.net.graph import Graph, Step
from trtdream.net.merge import Merged, merge_branches
from trtdream.net.shapes import needed_steps

Key = tuple[str, int]


@dataclass(frozen=True)
class Planned:
    """A step to run, its weights, the values nobody needs after it, and whether it may reuse its bottom's memory.

    narrow is the type in which the step wants its first weight once more, behind the others; "" if it does not.

    Each weight is one of the net's or, where branches are merged, several, one after the other along their outputs.

    It may reuse the memory where it is the only reader of a value that nobody asked for or gave, and that its writer
    needs no more: another reader may have kept the value for its gradient, or made a view of it.
    """

    step: Step
    weights: tuple[tuple[Key, ...], ...]
    done_with: tuple[str, ...]
    overwrites: bool
    narrow: str = ""


def make_plan(
    graph: Graph,
    wanted: Sequence[str],
    given: Collection[str],
    forms: Forms,
    weights_of: Callable[[str], Sequence[Key]],
) -> tuple[Planned, ...]:
    """The steps from the given values to the wanted ones, of which every name is a value of the graph.

    Args:
        weights_of: the weights of a layer, by name.
    """
    needed = needed_steps(graph, [graph.blob(name) for name in wanted], given)
    merged = merge_branches(needed, {*wanted, *given}) if forms.merge_branches else Merged(tuple(needed))
    steps = merged.steps
    done, spare = _done_after(steps, wanted), _spare(steps, {*wanted, *given})

    def planned(index: int, step: Step) -> Planned:
        formed = in_form(step, forms)
        kind = formed.layer.kind
        return Planned(
            formed,
            tuple(zip(*(weights_of(part) for part in merged.parts_of(step)), strict=True)),
            done.get(index, ()),
            overwrites=kind.can_overwrite and step.reads[0] in spare,
            narrow=kind.gradients if isinstance(kind, NarrowConvolution) else "",
        )

    return tuple(planned(index, step) for index, step in enumerate(steps))


def _done_after(steps: Sequence[Step], wanted: Sequence[str]) -> Mapping[int, tuple[str, ...]]:
    last_use = {name: index for index, step in enumerate(steps) for name in (*step.writes, *step.reads)}
    done: dict[int, tuple[str, ...]] = {}
    for name, index in last_use.items():
        if name not in wanted:
            done[index] = (*done.get(index, ()), name)
    return done


def _spare(steps: Sequence[Step], kept: Collection[str]) -> set[str]:
    """Values whose one reader may write into their memory."""
    frees = {name for step in steps for name in step.writes if step.layer.kind.frees_top}
    readers = Counter(name for step in steps for name in step.reads)
    return {name for name, count in readers.items() if count == 1 and name in frees and name not in kept}
