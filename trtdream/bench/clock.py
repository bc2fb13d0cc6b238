"""What time it is for the device that works: the wall clock for the CPU, events in its queue for a GPU."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol


class Clock(Protocol):
    """Marks points of time and tells how far apart they are."""

    def mark(self) -> Any:
        """Now, for the device."""

    def wait(self) -> None:
        """Until the device has done all it was told: before `between`, and before an unrelated measurement."""

    def between(self, start: Any, end: Any) -> float:
        """Milliseconds from one mark to another."""

    def issuing(self, start: Any, end: Any) -> float | None:
        """Milliseconds that the host took to give the device its work; None where host and device are one."""


class WallClock:
    """For the CPU, where a call returns when its work is done."""

    def mark(self) -> float:
        return time.perf_counter()

    def wait(self) -> None:
        return

    def between(self, start: float, end: float) -> float:
        return (end - start) * 1e3

    def issuing(self, start: float, end: float) -> float | None:  # noqa: ARG002  the contract's arguments
        return None


@dataclass(frozen=True)
class _Mark:
    event: Any
    host_s: float


class CudaClock:
    """For a GPU, which works through its queue behind the caller: events in the current stream."""

    def mark(self) -> _Mark:
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return _Mark(event, time.perf_counter())

    def wait(self) -> None:
        import torch

        torch.cuda.synchronize()

    def between(self, start: _Mark, end: _Mark) -> float:
        return float(start.event.elapsed_time(end.event))

    def issuing(self, start: _Mark, end: _Mark) -> float | None:
        return (end.host_s - start.host_s) * 1e3


def clock_for(device: str) -> Clock:
    """The clock of a torch device's name."""
    return CudaClock() if device.startswith("cuda") else WallClock()
