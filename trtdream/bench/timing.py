"""How long something takes: warmed up, repeated, with its spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Repeated measurements of one thing, in milliseconds.

    spread is the distance of the quartiles over the median: 0.02 means that half of the runs lie within 2 %.
    """

    median_ms: float
    least_ms: float
    spread: float
    runs: int
    warm_up: int

    def as_document(self) -> dict[str, Any]:
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


def measure(work: Callable[[], object], runs: int = 30, warm_up: int = 5, finish: Callable[[], object] = int) -> Timing:
    """Time `work` with the wall clock.

    Args:
        finish: called after each run before the clock is read, as torch.cuda.synchronize must be on a GPU.
    """
    for _ in range(warm_up):
        work()
    finish()
    milliseconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        finish()
        milliseconds.append((time.perf_counter() - start) * 1e3)
    quartiles = statistics.quantiles(milliseconds, n=4)
    median = statistics.median(milliseconds)
    return Timing(median, min(milliseconds), (quartiles[2] - quartiles[0]) / median, runs, warm_up)
