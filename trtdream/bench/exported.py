"""An exported file: what runs it, and what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trtdream.errors import InputRefused, UsageError

if TYPE_CHECKING:
    from trtdream.runtime.manifest import Manifest
    from trtdream.runtime.runner import Runner


def open_runner(file: Path, device: str) -> Runner:
    """Whatever runs a file of that kind (see `time_serving`)."""
    from trtdream.runtime.manifest import check_file, manifest_path, read_manifest

    if not file.is_file():
        raise UsageError(f"{file}: no such file; `trtdream engines ls` lists what there is")
    if file.suffix == ".engine":
        from trtdream.runtime.runner_tensorrt import TensorRTRunner

        return TensorRTRunner(file)
    if file.suffix != ".onnx":
        raise UsageError(f"{file}: is neither .onnx nor .engine")
    from trtdream.runtime.runner_onnx import OnnxRunner

    if manifest_path(file).is_file():
        check_file(file, read_manifest(file))
    return OnnxRunner(file, device)


def inputs_for(file: Path, batch: int | None) -> dict[str, np.ndarray]:
    """Noise for every input, open batch axes filled with `batch` (default: the usual one).

    Raises:
        UsageError: a batch that the file was not made for.
        InputRefused: an input has open axes beside the batch.
    """
    from trtdream.runtime.manifest import manifest_path, read_manifest

    manifest = read_manifest(file) if manifest_path(file).is_file() else None
    found = _onnx_inputs(file) if file.suffix == ".onnx" else _engine_inputs(manifest)
    arrays = {}
    for name, (shape, kind) in found.items():
        if any(axis < 1 for axis in shape[1:]):
            raise InputRefused(f"{file}: {name} has open axes beside the batch; export it with a fixed size")
        arrays[name] = _filled((_batch_of(file, shape[0], batch, manifest), *shape[1:]), kind)
    return arrays


def _batch_of(file: Path, axis: int, batch: int | None, manifest: Manifest | None) -> int:
    """Raises UsageError for a batch that the file was not made for."""
    least, usual, greatest = (axis,) * 3 if axis > 0 else manifest.batch if manifest else (1, 1, batch or 1)
    if batch is not None and not least <= batch <= greatest:
        sizes = f"{least}" if least == greatest else f"{least} to {greatest}"
        raise UsageError(f"--batch {batch}: {file.name} was made for {sizes}")
    return batch or usual


def _onnx_inputs(file: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    import onnx

    from trtdream.runtime.onnx_file import read_onnx

    graph = read_onnx(file).graph
    constants = {tensor.name for tensor in graph.initializer}
    return {
        value.name: (
            tuple(axis.dim_value or -1 for axis in value.type.tensor_type.shape.dim),
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
        )
        for value in graph.input
        if value.name not in constants
    }


def _engine_inputs(manifest: Manifest | None) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """By the manifest, which tells shapes as `Nx3x224x224`; pictures are bytes, blobs float32."""
    from trtdream.export.front import IMAGES

    assert manifest is not None  # an engine without one was refused
    return {
        name: (
            tuple(int(axis) if axis.isdigit() else -1 for axis in text.split("x")),
            np.dtype(np.uint8 if name == IMAGES else np.float32),
        )
        for name, text in manifest.inputs.items()
    }


def _filled(shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    random = np.random.default_rng(0)
    if kind.kind == "u":
        return random.integers(0, 256, shape, kind)
    return (50 * random.standard_normal(shape)).astype(kind)
