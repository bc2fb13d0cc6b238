"""What time it is for the device that works: the wall clock for the CPU, events in its queue for a GPU."""

from __future__ import annotations

import time
from typing import Any, Protocol


class Clock(Protocol):
    """Marks points of time and tells how far apart they are."""

    def mark(self) -> Any:
        """Now, for the device."""

    def wait(self) -> None:
        """Until the device has done all it was told: before `between`, and before an unrelated measurement."""

    def between(self, start: Any, end: Any) -> float:
        """Milliseconds from one mark to another."""


class WallClock:
    """For the CPU, where a call returns when its work is done."""

    def mark(self) -> float:
        return time.perf_counter()

    def wait(self) -> None:
        return

    def between(self, start: float, end: float) -> float:
        return (end - start) * 1e3


class CudaClock:
    """For a GPU, which works through its queue behind the caller: events in that queue."""

    def mark(self) -> Any:
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def wait(self) -> None:
        import torch

        torch.cuda.synchronize()

    def between(self, start: Any, end: Any) -> float:
        return float(start.elapsed_time(end))


def clock_for(device: str) -> Clock:
    """The clock of a torch device's name."""
    return CudaClock() if device.startswith("cuda") else WallClock()
