"""What differs between TensorRT 8.6, 10, 11 and TensorRT-RTX: all of it stands here.

| | 8.6 | 10 | 11 | RTX 1.x |
| --- | --- | --- | --- | --- |
| module | tensorrt | tensorrt | tensorrt | tensorrt_rtx_bindings |
| network flag | EXPLICIT_BATCH | STRONGLY_TYPED | STRONGLY_TYPED (always so) | STRONGLY_TYPED (always so) |
| precision | the graph's types, and builder flags FP16, INT8 | the graph's types | the same | the same |
| progress monitor | no | yes | yes | yes |
| timing cache | yes | yes | yes | no: kernels are made on the user's GPU |
| GPUs | that of the build, or hardware-compatible | the same | the same | compute capabilities named at build time |
| without a GPU | Builder raises, Runtime crashes the process | the same | the same | parses and builds |

Sources: the API reference of each version, and trying 8.6 and RTX.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trtdream.errors import TrtdreamError, UsageError
from trtdream.runtime.cuda import Gpu

RTX_CAPABILITIES = {"8.0", "8.6", "8.9", "12.0", "12.1"}
"""Compute capabilities that TensorRT-RTX 1.x has kernels for."""

_MODULES = {"TensorRT": "tensorrt", "TensorRT-RTX": "tensorrt_rtx_bindings"}


@dataclass(frozen=True)
class Library:
    """TensorRT or TensorRT-RTX, installed here."""

    name: str

    @property
    def is_rtx(self) -> bool:
        return self.name == "TensorRT-RTX"

    @cached_property
    def module(self) -> Any:
        """The Python module; importing it is safe without a GPU."""
        try:
            return importlib.import_module(_MODULES[self.name])
        except Exception as error:  # a library that is missing or broken raises anything
            raise TrtdreamError(f"{self.name} is installed but does not load: {error}; `trtdream doctor`") from error

    @property
    def version(self) -> str:
        return str(self.module.__version__)

    @property
    def major(self) -> int:
        """TensorRT's major version; RTX behaves as 11."""
        return 11 if self.is_rtx else int(self.version.split(".")[0])

    @property
    def has_progress(self) -> bool:
        return hasattr(self.module, "IProgressMonitor")

    @property
    def has_timing_cache(self) -> bool:
        return not self.is_rtx

    def network_flags(self) -> int:
        """What `Builder.create_network` wants for a graph that carries its own types."""
        flags = self.module.NetworkDefinitionCreationFlag
        flag = flags.EXPLICIT_BATCH if self.major < 10 else flags.STRONGLY_TYPED
        return 1 << int(flag)

    def builder_flags(self, precision: str) -> list[Any]:
        """Builder flags that a precision needs; only 8.6 has any for the types in the graph."""
        flags = self.module.BuilderFlag
        named = {"fp16": ["FP16"], "int8": ["INT8"]}.get(precision, []) if self.major < 10 else []
        return [getattr(flags, name) for name in named]

    def new_runtime(self, logger: Any, gpus: tuple[Gpu, ...]) -> Any:
        """A Runtime; with TensorRT 8.6 making one without a GPU ends the process, so there must be one.

        Raises:
            TrtdreamError: there is no GPU.
        """
        if not gpus:
            raise TrtdreamError(f"{self.name} needs an NVIDIA GPU to run an engine, and there is none here")
        return self.module.Runtime(logger)


def installed() -> list[Library]:
    """What is installed here, TensorRT first."""
    return [Library(name) for name, module in _MODULES.items() if importlib.util.find_spec(module) is not None]


def library_for(gpus: tuple[Gpu, ...], target: str | None) -> Library | None:
    """What builds for this machine's first GPU, or ahead of time for `target`; None if nothing does.

    Raises:
        UsageError: a target that TensorRT-RTX is not there for, or does not know.
    """
    present = {library.name: library for library in installed()}
    if target is not None:
        if "TensorRT-RTX" not in present:
            raise UsageError("--target builds ahead of time with TensorRT-RTX, which is not installed")
        if target not in RTX_CAPABILITIES:
            known = ", ".join(f"sm_{one.replace('.', '')}" for one in sorted(RTX_CAPABILITIES, key=float))
            raise UsageError(f"--target sm_{target.replace('.', '')}: TensorRT-RTX builds for {known}")
        return present["TensorRT-RTX"]
    if not gpus:
        return None
    if "TensorRT" in present:
        return present["TensorRT"]
    return present.get("TensorRT-RTX") if gpus[0].capability in RTX_CAPABILITIES else None


def this_platform() -> str:
    """The platform an engine is bound to: `linux_x86_64`."""
    return f"{platform.system().lower()}_{platform.machine().lower()}"
