"""The manifest beside every exported file: what it is, what made it, and how well it agrees with its network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from trtdream.errors import InputRefused, UsageError
from trtdream.files import read_file, sha256, write_file
from trtdream.runtime.preprocess import Preprocess

FORMAT = 1


@dataclass(frozen=True)
class Built:
    """With what and for which GPU an engine was built. capability: "8.9"; gpu None if it was built ahead of time.

    version_compatible: later versions may run it. hardware_compatible: all GPUs from Ampere (8.0) on may. trusted: not
    built by trtdream; these are the library, GPU and platform where a person said that the file may be run.
    """

    library: str
    version: str
    gpu: str | None
    capability: str
    platform: str
    version_compatible: bool = False
    hardware_compatible: bool = False
    trusted: bool = False


@dataclass(frozen=True)
class Manifest:
    """One exported file, ONNX or engine.

    sha256, onnx_sha256: of the file's and of the ONNX's content. batch: least, usual, greatest. inputs, output_shapes:
    shapes as `Nx3x224x224`. preprocess: see Preprocess.to_dict. layer_types: how many layers' outputs have each type,
    by TensorRT's inspector or, without a GPU, its parser. kept: layers that a quantisation left in float.
    verification: see trtdream.export.agreement; passed says
    whether all of it was good enough. command: what makes the file again.
    """

    file: str
    sha256: str
    onnx: str
    onnx_sha256: str
    network: str
    weights: str
    weights_sha256: str
    precision: str
    batch: tuple[int, int, int]
    inputs: Mapping[str, str]
    outputs: tuple[str, ...]
    output_shapes: Mapping[str, str]
    preprocess: Mapping[str, Any] | None
    labels: tuple[str, ...]
    command: str
    trtdream: str
    built: Built | None = None
    layer_types: Mapping[str, int] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    verification: tuple[Mapping[str, Any], ...] = ()
    passed: bool = False
    format: int = FORMAT

    @property
    def is_engine(self) -> bool:
        return self.built is not None


def manifest_path(file: Path) -> Path:
    """Where the manifest of an exported file lies."""
    return file.with_name(f"{file.name}.json")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it beside its file."""
    write_file(manifest_path(folder / manifest.file), json.dumps(asdict(manifest), indent=1, ensure_ascii=False) + "\n")


def read_manifest(file: Path) -> Manifest:
    """The manifest of an exported file, or of the manifest's own path.

    Raises:
        UsageError: there is none.
        InputRefused: it is no manifest of ours, or of another file.
    """
    path = file if file.name.endswith(".json") else manifest_path(file)
    try:
        document = json.loads(read_file(path))
    except ValueError as error:
        raise InputRefused(f"{path}: is no JSON document ({error})") from error
    names = {one.name for one in fields(Manifest)}
    if not isinstance(document, dict) or set(document) != names or document["format"] != FORMAT:
        raise InputRefused(f"{path}: is no manifest of this version of trtdream; export again")
    try:
        built = None if document["built"] is None else Built(**document["built"])
        least, usual, greatest = document["batch"]
    except (TypeError, ValueError) as error:
        raise InputRefused(f"{path}: is damaged ({error}); export again") from error
    if document["file"] != path.name.removesuffix(".json"):
        raise InputRefused(f"{path}: is the manifest of {document['file']}, not of a file beside it")
    for name in ("outputs", "labels", "kept", "verification"):
        document[name] = tuple(document[name])
    return Manifest(**{**document, "built": built, "batch": (least, usual, greatest)})


def check_file(file: Path, manifest: Manifest) -> None:
    """Raises InputRefused if a file is not the one that its manifest tells of."""
    if sha256(file) != manifest.sha256:
        raise InputRefused(f"{file}: was changed since it was made (its SHA-256 differs); again: {manifest.command}")


def check_onnx(file: Path, manifest: Manifest) -> None:
    """Raises UsageError if the ONNX file that a manifest tells of is missing, InputRefused if it is another one."""
    if not file.is_file():
        raise UsageError(f"{file}: is missing, which {manifest.file} came from; again: {manifest.command}")
    if sha256(file) != manifest.onnx_sha256:
        raise InputRefused(f"{file}: is not the ONNX that {manifest.file} came from; again: {manifest.command}")


def preprocess_of(manifest: Manifest, folder: Path) -> Preprocess | None:
    """The preprocessing, its mean image (if it has one) read from beside the manifest."""
    if manifest.preprocess is None:
        return None
    return Preprocess.from_dict(manifest.preprocess, lambda name: np.load(folder / name, allow_pickle=False))
