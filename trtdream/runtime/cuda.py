"""What the CUDA driver says of this machine, asked without torch, so that no package need be there."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_MANAGEMENT = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True)
class Gpu:
    """One GPU that CUDA offers to this process."""

    name: str
    memory: int
    """Bytes, all of it."""
    capability: str
    """Compute capability, e.g. "9.0"."""


@dataclass(frozen=True)
class Cuda:
    """The CUDA driver and its GPUs."""

    driver: str | None
    """The driver's version, e.g. "580.82.07"; None without a driver."""
    version: str | None
    """The newest CUDA the driver runs, e.g. "13.0"."""
    gpus: tuple[Gpu, ...]
    trouble: str | None = None
    """Why there is no GPU, in CUDA's words."""


def ask_cuda() -> Cuda:
    """The driver and GPUs of this machine (CUDA_VISIBLE_DEVICES counts). No GPU is no error.

    Asked in another process by whoever must not crash with a broken driver: see `trtdream.runtime.probe`.
    """
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return Cuda(None, None, (), "no NVIDIA driver")
    number = ctypes.c_int()
    version = None
    if library.cuDriverGetVersion(ctypes.byref(number)) == 0:  # 13000 for 13.0
        version = f"{number.value // 1000}.{number.value % 1000 // 10}"
    error = library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(number))
    if error:
        return Cuda(_driver_version(), version, (), _error_text(library, error))
    gpus = tuple(_gpu(library, index) for index in range(number.value))
    return Cuda(_driver_version(), version, gpus, None if gpus else "no GPU is visible")


def _gpu(library: ctypes.CDLL, index: int) -> Gpu:
    device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    library.cuDeviceGet(ctypes.byref(device), index)
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    capability = []
    for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR):
        value = ctypes.c_int()
        library.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        capability.append(str(value.value))
    return Gpu(name.value.decode(errors="replace"), memory.value, ".".join(capability))


def _error_text(library: ctypes.CDLL, error: int) -> str:
    text = ctypes.c_char_p()
    library.cuGetErrorString(error, ctypes.byref(text))
    return (text.value or b"").decode(errors="replace") or f"CUDA error {error}"


def _driver_version() -> str | None:
    try:
        library = ctypes.CDLL(_MANAGEMENT)
    except OSError:
        return None
    text = ctypes.create_string_buffer(96)
    if library.nvmlInit_v2() or library.nvmlSystemGetDriverVersion(text, len(text)):
        return None
    return text.value.decode(errors="replace")
