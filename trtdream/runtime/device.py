"""Where torch runs."""

from __future__ import annotations

import ctypes
import sys

from trtdream.errors import UsageError


def pick_device(name: str) -> str:
    """`cpu` or `cuda` for `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.

    Float32 is float32 there too: torch lets convolutions round to TF32 (10 bits) unless it is told not to.

    Raises:
        UsageError: another name, or a GPU that is not there.
    """
    import torch

    keep_freed_memory()
    torch.backends.cudnn.allow_tf32 = False
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device {name}: is none of auto, cpu, cuda, cuda:0, cuda:1, ...") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: is none of auto, cpu, cuda, cuda:0, cuda:1, ...")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices; `trtdream doctor`"
        )
    return name


def keep_freed_memory() -> None:
    """Let the C library keep what torch frees on the CPU, for the next blob of that size.

    It would otherwise give every blob of some megabytes back to the system and take it anew, page by page: a tenth of a
    dream's time. Only glibc can be told so (mallopt(3)); elsewhere nothing happens.
    """
    _tell_allocator(mmap_threshold=2**30, trim_threshold=2**31 - 1)


def give_back_freed_memory() -> None:
    """Let the C library give blobs of 16 MiB and more back to the system as soon as torch frees them.

    Slower, and what a process needs that has to keep within a limit: among kept blocks of many sizes there are gaps.
    """
    _tell_allocator(mmap_threshold=2**24, trim_threshold=2**25)


def _tell_allocator(mmap_threshold: int, trim_threshold: int) -> None:
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(-3, mmap_threshold)  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
        library.mallopt(-1, trim_threshold)
