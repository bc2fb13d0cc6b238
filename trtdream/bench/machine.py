"""What a measurement ran on: no number is worth anything without it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trtdream import __version__

_PACKAGES = ("torch", "numpy", "onnx", "onnxruntime-gpu", "tensorrt", "nvidia-dali-cuda120", "nvidia-dali-cuda130")


def describe_machine() -> dict[str, Any]:
    """Processor, cores, GPU, and the versions of what computes."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),  # AVX2, AVX512: processors of one name differ in it
        "cores": len(os.sched_getaffinity(0)),
        "gpu": gpu,
        "python": platform.python_version(),
        "trtdream": __version__,
        **{name: found for name in _PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
