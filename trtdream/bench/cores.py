"""Whether a measurement had the processor to itself: the kernel's word on who used this process's cores."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

DOUBTFUL_SHARE = 0.05
_BUSY = (0, 1, 2, 5, 6, 7)  # proc(5), stat: user, nice, system, irq, softirq, steal


@dataclass(frozen=True)
class _Moment:
    wall_s: float
    own_s: float
    busy_s: float


class Cores:
    """Looks before and after the block.

    `others` is the share of the cores' time that other processes took, or other machines that share the processor; None
    where the system does not tell. Child processes that have ended count as one's own.
    """

    def __init__(self) -> None:
        self.others: float | None = None
        self._before: _Moment | None = None

    def __enter__(self) -> Cores:
        self._before = _look()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        before, after = self._before, _look()
        if before is None or after is None:
            return
        own, busy = after.own_s - before.own_s, after.busy_s - before.busy_s
        had = (after.wall_s - before.wall_s) * len(os.sched_getaffinity(0))
        self.others = round(min(max((busy - own) / had, 0.0), 1.0), 4) if had else None

    @property
    def doubts(self) -> tuple[str, ...]:
        if self.others is None or self.others <= DOUBTFUL_SHARE:
            return ()
        return (f"others used {self.others:.0%} of the processor's cores meanwhile",)


def _look() -> _Moment | None:
    try:
        lines = Path("/proc/stat").read_text().splitlines()
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    except (OSError, AttributeError):  # no Linux
        return None
    ticks = sum(int(words[1 + index]) for line in lines if (words := line.split())[0] in cores for index in _BUSY)
    return _Moment(time.perf_counter(), sum(os.times()[:4]), ticks / os.sysconf("SC_CLK_TCK"))
