"""Memory: the most that was in use, torch's on a GPU and the process's on the CPU; and what there is for the CPU."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

_RESET_PEAK = "5"  # proc(5), clear_refs


def restart_peak(device: str) -> None:
    """Forget the peak so far. Where the system does not allow it, the process's whole life counts."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)


def peak_memory(device: str) -> int | None:
    """Bytes; None where the system does not tell."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated())
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def available_memory() -> int | None:
    """Bytes this process can still take for the CPU, its control group's limit counted; None if not known."""
    found = [value for value in (_of_the_machine(), _of_the_control_group()) if value is not None]
    return min(found, default=None)


def _of_the_machine() -> int | None:
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _of_the_control_group() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        most, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return int(most) - int(used) if most.isdecimal() else None
