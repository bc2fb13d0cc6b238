"""A network's times, layer by layer and as a whole, whatever backend ran it; and what makes them doubtful."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trtdream.bench.limits import Bound
from trtdream.bench.timing import Timing
from trtdream.bench.work import Work

PARTS = ("forward", "backward")
LAUNCH_BOUND = 0.8  # trtexec warns from there on
_TOLERANCE = 0.1


@dataclass(frozen=True)
class Pass:
    """One pass of one layer: how long it takes, what it has to do, and which ceiling that comes near to."""

    timing: Timing
    work: Work
    bound: Bound


@dataclass(frozen=True)
class LayerTime:
    """A row: one layer, or several that a backend has fused.

    Attributes:
        holds: the layers' names where there are several, or where the row is none of the network's.
        backward: None where nothing at or below it learns, or where it only passes on its bottom.
    """

    name: str
    kind: str
    macs: int
    forward: Pass
    backward: Pass | None = None
    holds: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetTime:
    """A network layer by layer, and as a whole, measured alone.

    Attributes:
        added_up: the layers' times of one run added up, forward and backward.
        peak_bytes: None where the system does not tell.
        issuing: what the host takes to give a GPU the work of one run, forward and backward; empty on the CPU.
        note: what must be known of how the rows were measured.
    """

    layers: tuple[LayerTime, ...]
    forward: Timing
    backward: Timing | None
    added_up: Mapping[str, Timing]
    batch: int
    peak_bytes: int | None
    issuing: Mapping[str, Timing] = field(default_factory=dict)
    note: str = ""

    @property
    def wholes(self) -> Mapping[str, Timing]:
        """The whole by part, as far as there is one."""
        found = dict(zip(PARTS, (self.forward, self.backward), strict=True))
        return {part: timing for part, timing in found.items() if timing is not None}

    @property
    def passes(self) -> list[Pass]:
        """Every pass of every row."""
        return [each for layer in self.layers for each in (layer.forward, layer.backward) if each is not None]

    def sum_of_medians(self, part: str) -> float:
        """The rows of the table added up, in milliseconds, `part` being forward or backward.

        On a noisy machine that is less than any run takes: each row's median leaves out other moments of trouble.
        """
        passes = [getattr(layer, part) for layer in self.layers]
        return sum(each.timing.median_ms for each in passes if each is not None)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What keeps the table from being trusted."""
        found = []
        for part, whole in self.wholes.items():
            found += [f"{part}: {doubt}" for doubt in whole.doubts]
            for what, added in (
                ("the layers' times of one run", self.added_up[part].median_ms),
                ("the rows", self.sum_of_medians(part)),
            ):
                share = added / whole.median_ms
                if abs(share - 1) > _TOLERANCE:
                    found.append(f"{part}: {what} add up to {share:.0%} of the whole measured alone")
            if part in self.issuing and (doubt := launch_bound(self.issuing[part].median_ms, whole.median_ms)):
                found.append(f"{part}: {doubt}")
        if beyond := [layer.name for layer in self.layers if _beats_the_machine(layer)]:
            found.append(
                f"{', '.join(beyond[:3])}: faster than the machine's own limit, which was then measured on a busy"
                " machine; `trtdream bench limits --again`"
            )
        return tuple(found)


def launch_bound(issuing_ms: float, whole_ms: float) -> str:
    """The doubt that a GPU waited for its host; empty if it did not."""
    share = issuing_ms / whole_ms if whole_ms else 0.0
    return f"launch-bound: the host takes {share:.0%} of the time to issue the work" if share > LAUNCH_BOUND else ""


def _beats_the_machine(layer: LayerTime) -> bool:
    """Memory's limit may be beaten within the cache; that of arithmetic may not."""
    bounds = [each.bound for each in (layer.forward, layer.backward) if each is not None]
    return any(bound.limit == "compute" and bound.share > 1 + _TOLERANCE for bound in bounds)
