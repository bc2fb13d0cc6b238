"""What differs between TensorRT 8.6, 10, 11 and TensorRT-RTX: all of it stands here.

| | 8.6 | 10 | 11 | RTX 1.x |
| --- | --- | --- | --- | --- |
| module | tensorrt | tensorrt | tensorrt | tensorrt_rtx_bindings |
| network flag | EXPLICIT_BATCH | STRONGLY_TYPED | STRONGLY_TYPED (always so) | STRONGLY_TYPED (always so) |
| precision | the graph's types, and builder flags FP16, INT8 | the graph's types | the same | the same |
| quantised weights | float, with a Q/DQ pair | int8 behind a DequantizeLinear | the same | the same |
| TF32 flag | yes, on by default | the same | the same | the same |
| contexts that share a profile | with a preview feature | always | always | always |
| progress monitor | no | yes | yes | yes |
| timing cache | yes | yes | yes | no: kernels are made on the user's GPU |
| version-compatible plans run in | 8.6 and newer, 10 | 10, 11 | 11 | the same version only |
| GPUs | that of the build, or hardware-compatible | the same | the same | compute capabilities named at build time |
| without a GPU | Builder raises, Runtime crashes the process | the same | the same | parses and builds |

Sources: the API reference and support matrix of each version, NVIDIA's migration guides, and trying 8.6 and RTX.
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

    @property
    def wants_float_weights(self) -> bool:
        """Whether quantised weights must be float constants with a Q/DQ pair, instead of int8 ones."""
        return self.major < 10

    def network_flags(self) -> int:
        """What `Builder.create_network` wants for a graph that carries its own types."""
        flags = self.module.NetworkDefinitionCreationFlag
        flag = flags.EXPLICIT_BATCH if self.major < 10 else flags.STRONGLY_TYPED
        return 1 << int(flag)

    def builder_flags(self, half: bool, int8: bool) -> list[Any]:
        """Builder flags that a graph with such types needs; only 8.6 has any."""
        wanted = [name for name, used in (("FP16", half), ("INT8", int8)) if used and self.major < 10]
        return [getattr(self.module.BuilderFlag, name) for name in wanted]

    def preview_features(self) -> list[Any]:
        """What must be asked for so that several contexts, one for each CUDA graph, run one profile."""
        return [self.module.PreviewFeature.PROFILE_SHARING_0806] if self.major < 10 else []

    def runs_plan_of(self, version: str, version_compatible: bool) -> bool:
        """Whether a plan built with another version of this library may be loaded.

        Version-compatible ones run in newer versions, and across one step between majors: 8 in 10, 10 in 11.
        """
        if version == self.version:
            return True
        if not version_compatible or self.is_rtx:
            return False
        built, here = ([int(part) for part in text.split(".")[:3]] for text in (version, self.version))
        return built <= here and (built[0] == here[0] or (built[0], here[0]) in {(8, 10), (10, 11)})

    def new_runtime(self, logger: Any, gpus: tuple[Gpu, ...], host_code: bool = False) -> Any:
        """A Runtime; with TensorRT 8.6 making one without a GPU ends the process, so there must be one.

        Args:
            host_code: let plans bring code for the CPU, as version-compatible ones do.

        Raises:
            TrtdreamError: there is no GPU.
        """
        if not gpus:
            raise TrtdreamError(f"{self.name} needs an NVIDIA GPU to run an engine, and there is none here")
        runtime = self.module.Runtime(logger)
        if host_code:
            runtime.engine_host_code_allowed = True
        return runtime


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
