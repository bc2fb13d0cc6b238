"""Whether an engine may be loaded: an engine is a program, and one for another GPU or version crashes the process."""

from __future__ import annotations

from pathlib import Path

from trtdream.errors import InputRefused, UsageError
from trtdream.runtime.cuda import Gpu
from trtdream.runtime.manifest import Built, Manifest, check_file, manifest_path, read_manifest
from trtdream.runtime.tensorrt import Library, installed, this_platform

NO_MANIFEST = (
    "has no manifest, so nobody knows what it does; build it with `trtdream export`, or say with --trust that you know "
    "where it comes from"
)

_AMPERE = 8.0  # where hardware-compatible engines begin


def check_engine(engine: Path, gpus: tuple[Gpu, ...]) -> Manifest:
    """The engine's manifest, if the engine is what it tells of and can run here.

    Raises:
        UsageError: no such file.
        InputRefused: no manifest, or another content, library, version, GPU or platform than it tells of; the message
            names the command that builds it again.
    """
    if not engine.is_file():
        raise UsageError(f"{engine}: no such file; `trtdream engines ls` lists what there is")
    if not manifest_path(engine).is_file():
        raise InputRefused(f"{engine}: {NO_MANIFEST}")
    manifest = read_manifest(engine)
    if manifest.built is None:
        raise InputRefused(f"{engine}: is no engine, its manifest says")
    check_file(engine, manifest)
    if fault := misfit(manifest, gpus):
        raise InputRefused(f"{engine.name}: {fault}; build it for this machine: {manifest.command}")
    return manifest


def misfit(manifest: Manifest, gpus: tuple[Gpu, ...]) -> str:
    """Why an engine does not fit this machine; empty if it does."""
    built = manifest.built
    if built is None:
        return "is no engine"
    if built.platform != this_platform():
        return f"was built for {built.platform}, this is {this_platform()}"
    library = next((one for one in installed() if one.name == built.library), None)
    if library is None:
        return f"was built with {built.library}, which is not installed here"
    return _version_misfit(library, built) or _gpu_misfit(built, gpus)


def _version_misfit(library: Library, built: Built) -> str:
    if library.runs_plan_of(built.version, built.version_compatible):
        return ""
    return f"was built with {library.name} {built.version}, here is {library.version}"


def _gpu_misfit(built: Built, gpus: tuple[Gpu, ...]) -> str:
    """An engine built on a GPU is for that model; one built ahead of time for its compute capability."""
    capability, gpu = built.capability, built.gpu
    if not gpus:
        return f"was built for a GPU of compute capability {capability}, and there is none here"
    here = gpus[0]
    if built.hardware_compatible:
        fits = float(here.capability) >= _AMPERE
        return "" if fits else f"was built for compute capability 8.0 and later, {here.name} has {here.capability}"
    if here.capability != capability:
        return f"was built for compute capability {capability}, {here.name} has {here.capability}"
    return "" if gpu in (None, here.name) else f"was built on {gpu}, this is {here.name}"
