"""The machine's own ceilings: how fast it copies, multiplies matrices, and answers a call. Measured once and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trtdream.bench.clock import Clock, clock_for
from trtdream.bench.cores import Cores
from trtdream.bench.machine import describe_machine
from trtdream.bench.precision import PRECISIONS
from trtdream.bench.products import EXTRA, convolution, precisions, product
from trtdream.bench.timing import Repeats, repeat
from trtdream.bench.work import Work
from trtdream.console import say
from trtdream.files import write_file
from trtdream.weights.cache import cache_folder

_CACHED_FORM = 5
_COPY_BYTES = {"cpu": 2**28, "cuda": 2**30}  # far beyond any cache
_LARGEST_SIDE = {"cpu": 4096, "cuda": 8192}
_LONG_ENOUGH_MS = 100.0
_REPEATS = Repeats(runs=10, warm_up=2, seconds=2)


@dataclass(frozen=True)
class Limits:
    """Ceilings of one device, each the best of several runs.

    Attributes:
        bytes_per_s: read and written in a large copy.
        flops_per_s: of a large square matrix product, by precision; int8's are of integers. Of a convolution where a
            CPU's is faster.
        call_ms: what the smallest operation takes.
        measured: when, in UTC.
        absent: why a precision has no ceiling here.
    """

    bytes_per_s: float
    flops_per_s: Mapping[str, float]
    call_ms: float
    measured: str
    absent: Mapping[str, str] = field(default_factory=dict)


LimitsOf = Callable[[str], Limits]
"""A device's ceilings: `limits_of`, or those of a test."""


@dataclass(frozen=True)
class Bound:
    """Which ceiling binds (compute, memory or call), and how much of it was reached; 1 is all of it.

    More than 1 is possible where "memory" was measured beyond the cache and a blob stays within it.
    """

    limit: str
    share: float

    def as_document(self) -> dict[str, Any]:
        """As a result's row has it."""
        return {"limit": self.limit, "of_limit": round(self.share, 4)}


def bound(milliseconds: float, work: Work, precision: str, limits: Limits) -> Bound:
    """Hold a measured time against the time that the machine's ceilings allow.

    A precision without a measured ceiling has only those of memory and calls.
    """
    return bound_of_all(milliseconds, [work], precision, limits)


def bound_of_all(milliseconds: float, works: Sequence[Work], precision: str, limits: Limits) -> Bound:
    """`bound` of several layers run one after another: the limit that binds for the greatest part of the least time."""
    parts: dict[str, float] = {}
    for work in works:
        least = {"memory": work.bytes / limits.bytes_per_s * 1e3, "call": limits.call_ms}
        if precision in limits.flops_per_s:
            least["compute"] = work.flops / limits.flops_per_s[precision] * 1e3
        binding = max(least, key=least.__getitem__)
        parts[binding] = parts.get(binding, 0.0) + least[binding]
    share = sum(parts.values()) / milliseconds if milliseconds else 0.0
    return Bound(max(parts, key=parts.__getitem__), share)


def limits_of(device: str, again: bool = False) -> Limits:
    """The device's ceilings: from the cache, or measured now, in some seconds, and cached.

    Args:
        again: measure even if they are known.
    """
    path = _cache_file(device)
    if not again and (known := _read(path)) is not None:
        return known
    with Cores() as cores:
        found = _measure(device)
    for doubt in cores.doubts:
        say(f"the machine's limits: {doubt}; `trtdream bench limits --again` measures anew")
    write_file(path, json.dumps(asdict(found), indent=2) + "\n")
    return found


def _cache_file(device: str) -> Path:
    import torch

    key = json.dumps([_CACHED_FORM, describe_machine(), device, torch.get_num_threads()], sort_keys=True)
    return cache_folder() / "limits" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _read(path: Path) -> Limits | None:
    try:
        known = Limits(**json.loads(path.read_text()))
        complete = all(known.flops_per_s[precision] > 0 for precision in PRECISIONS)
        return known if complete and known.bytes_per_s > 0 and known.call_ms > 0 else None
    except (OSError, ValueError, TypeError, KeyError):
        return None  # it is measured anew and replaced


def _measure(device: str) -> Limits:
    import torch

    clock, kind = clock_for(device), torch.device(device).type
    source = torch.ones(_COPY_BYTES[kind], dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    one = torch.ones(1, device=device)
    with torch.inference_mode():
        copy_ms = _best(clock, lambda: target.copy_(source))
        call_ms = _best(clock, lambda: [one.relu_() for _ in range(100)]) / 100
        rates, absent = _rates(clock, device)
    moved = 2 * source.numel()
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return Limits(moved / copy_ms * 1e3, rates, call_ms, when, absent)


def _rates(clock: Clock, device: str) -> tuple[dict[str, float], dict[str, str]]:
    """Operations a second by precision, and why there are none; the ones that every device has must be there."""
    tried = precisions(device)
    rates: dict[str, float] = {}
    absent = {one: "only GPUs multiply fast in it" for one in EXTRA if one not in tried}
    for precision in tried:
        try:
            rates[precision] = _matrix_product(clock, device, precision)
            if (precision, device) == ("float32", "cpu"):
                rates[precision] = max(rates[precision], _convolution(clock))
        except (RuntimeError, ImportError) as error:
            if precision in PRECISIONS:
                raise
            absent[precision] = " ".join(str(error).split())[:200]
    return rates, absent


def _matrix_product(clock: Clock, device: str, precision: str) -> float:
    """Operations a second at the side from which on it takes long enough to be measured well."""
    import torch

    side, rate = 256, 0.0
    while side <= _LARGEST_SIDE[torch.device(device).type]:
        milliseconds = _best(clock, product(precision, side, device))
        rate = max(rate, 2 * side**3 / milliseconds * 1e3)
        if milliseconds > _LONG_ENOUGH_MS:
            break
        side *= 2
    return rate


def _convolution(clock: Clock) -> float:
    work, operations = convolution()
    return operations / _best(clock, work) * 1e3


def _best(clock: Clock, work: Callable[[], Any]) -> float:
    def run() -> dict[str, float]:
        clock.wait()
        start = clock.mark()
        work()
        end = clock.mark()
        clock.wait()
        return {"": clock.between(start, end)}

    return repeat(run, _REPEATS)[""].least_ms
