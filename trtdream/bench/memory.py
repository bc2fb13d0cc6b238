"""The most memory that was in use: torch's on a GPU, the process's on the CPU."""

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
