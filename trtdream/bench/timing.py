"""How long something takes: warmed up until it is stable, repeated, with its spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

DOUBTFUL_SPREAD = 0.025  # trtexec warns from there on
STABLE = 1.1  # perf_analyzer: the last three within 10 %
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Timing:
    """Repeated measurements of one thing, in milliseconds.

    spread is the distance from the first decile to the last over the median, of nine runs or fewer that from the least
    to the greatest: 0.02 means that four runs of five lie within 2 %. A second measurement, in a process of its own,
    keeps to that: of 320 times within GoogLeNet (10 runs each, every two of five processes, two shared cores) at most
    0.6 % had medians further apart than both spreads together, of 5 runs each 3.5 %. By the distance of the quartiles
    it was 4 to 10 %, by a bootstrap of the median 22 %: both are blind to slow changes.
    settled tells whether the warm-up became stable.
    """

    median_ms: float
    least_ms: float
    p90_ms: float
    p99_ms: float
    spread: float
    runs: int
    warm_up: int
    settled: bool = True

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the median should not be trusted; empty if it may be."""
        spread = (f"spread {self.spread:.1%}",) if self.spread > DOUBTFUL_SPREAD else ()
        return spread + (() if self.settled else ("warm-up not stable",))

    def as_document(self) -> dict[str, Any]:
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Repeats:
    """How often to measure: `runs` times, or for `seconds`, whichever ends first, but at least three times.

    Before that the warm-up: at least `warm_up` runs, until the last three are within 10 %, at most `seconds`; none if
    `warm_up` is 0, for what has been warmed up already.
    """

    runs: int = 30
    warm_up: int = 5
    seconds: float = float("inf")

    least = 3


def repeat(run: Callable[[], Mapping[K, float]], repeats: Repeats) -> dict[K, Timing]:
    """Measure several parts of one piece of work together.

    Args:
        run: does the work once and returns the milliseconds of each part, always the same parts.
    """
    warm_up, settled = _warm_up(run, repeats)
    start = time.perf_counter()
    samples = [run()]
    while len(samples) < repeats.runs and (
        len(samples) < repeats.least or time.perf_counter() - start < repeats.seconds
    ):
        samples.append(run())
    return {part: timing_of([sample[part] for sample in samples], warm_up, settled) for part in samples[0]}


def measure(
    work: Callable[[], object],
    runs: int = 30,
    warm_up: int = 5,
    finish: Callable[[], object] = int,
    seconds: float = float("inf"),
) -> Timing:
    """Time `work` with the wall clock (see `Repeats`).

    Args:
        finish: called after each run before the clock is read, as torch.cuda.synchronize must be on a GPU.
    """

    def run() -> dict[str, float]:
        start = time.perf_counter()
        work()
        finish()
        return {"": (time.perf_counter() - start) * 1e3}

    finish()
    return repeat(run, Repeats(runs, warm_up, seconds))[""]


def _warm_up(run: Callable[[], Mapping[K, float]], repeats: Repeats) -> tuple[int, bool]:
    """How many runs it took, and whether the last three were alike."""
    if repeats.warm_up == 0:
        return 0, True
    start = time.perf_counter()
    totals: list[float] = []
    most = max(3 * repeats.warm_up, repeats.least)
    while True:
        totals.append(sum(run().values()))
        late = len(totals) >= most or time.perf_counter() - start > repeats.seconds
        enough = len(totals) >= max(repeats.warm_up, repeats.least)
        alike = len(totals) >= repeats.least and max(totals[-3:]) <= STABLE * min(totals[-3:])
        if late or (enough and alike):
            return len(totals), alike


def timing_of(milliseconds: Sequence[float], warm_up: int = 0, settled: bool = True) -> Timing:
    """The timing that samples come to: at least one, in the order they were taken."""
    median = statistics.median(milliseconds)
    if len(milliseconds) == 1:
        return Timing(median, median, median, median, 0.0, 1, warm_up, settled)
    first, *_, last = statistics.quantiles(milliseconds, n=10)  # beyond what was seen, if there are few
    reach = min(last, max(milliseconds)) - max(first, min(milliseconds))
    spread = reach / median if median else 0.0
    percentiles = statistics.quantiles(milliseconds, n=100, method="inclusive")
    least, p90, p99 = min(milliseconds), percentiles[89], percentiles[98]
    return Timing(median, least, p90, p99, spread, len(milliseconds), warm_up, settled)
