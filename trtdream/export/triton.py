"""A model repository for Triton Inference Server: the model, its configuration, its labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from trtdream.errors import InputRefused
from trtdream.export.front import IMAGES
from trtdream.files import refuse_overwrite, replacing, write_file
from trtdream.runtime.manifest import Manifest

_QUEUE_DELAY = 500  # microseconds that a request may wait for others to fill its batch


def write_repository(repository: Path, folder: Path, manifest: Manifest, force: bool) -> Path:
    """Write REPOSITORY/NAME with version 1 of an exported file: an engine, or else the ONNX.

    Returns:
        The model's folder.

    Raises:
        UsageError: it exists already and `force` was not given.
        InputRefused: an ONNX file whose weights lie outside it.
    """
    name = Path(manifest.onnx).stem
    home = repository / name
    refuse_overwrite(home / "config.pbtxt", force)
    source = folder / manifest.file
    if source.with_name(f"{source.name}.data").exists():
        raise InputRefused(f"{source}: is beyond 2 GB, its weights lie beside it: Triton is given engines of that size")
    with replacing(home / "1" / ("model.plan" if manifest.is_engine else "model.onnx")) as temporary:
        shutil.copyfile(source, temporary)
    if manifest.labels:
        write_file(home / "labels.txt", "\n".join(manifest.labels) + "\n")
    write_file(home / "config.pbtxt", config(name, manifest))
    return home


def config(name: str, manifest: Manifest) -> str:
    """Triton's ModelConfig as text. The batch axis is Triton's own: dims leave it out."""
    least, usual, greatest = manifest.batch
    dynamic = least != greatest
    platform = "tensorrt_plan" if manifest.is_engine else "onnxruntime_onnx"
    lines = [f"name: {json.dumps(name)}", f'platform: "{platform}"', f"max_batch_size: {greatest if dynamic else 0}"]
    for tensor, shape in manifest.inputs.items():
        kind = tensor_type(tensor)
        lines.append(f"input [ {{ name: {json.dumps(tensor)} data_type: {kind} dims: [ {dims(shape, dynamic)} ] }} ]")
    for tensor in manifest.outputs:
        labels = ' label_filename: "labels.txt"' if manifest.labels else ""
        sizes = dims(manifest.output_shapes[tensor], dynamic)
        lines.append(f"output [ {{ name: {json.dumps(tensor)} data_type: TYPE_FP32 dims: [ {sizes} ]{labels} }} ]")
    if dynamic:
        preferred = ", ".join(map(str, sorted({usual, greatest})))
        lines.append(
            f"dynamic_batching {{ preferred_batch_size: [ {preferred} ] max_queue_delay_microseconds: {_QUEUE_DELAY} }}"
        )
    count, kind = (2, "KIND_GPU") if manifest.is_engine else (1, "KIND_AUTO")
    lines.append(f"instance_group [ {{ count: {count} kind: {kind} }} ]")
    lines.append(_warmup(manifest, usual, dynamic))
    return "\n".join(lines) + "\n"


def _warmup(manifest: Manifest, usual: int, dynamic: bool) -> str:
    """One batch of zeros when the model is loaded, so that the first request is as fast as the second."""
    inputs = " ".join(
        f"inputs {{ key: {json.dumps(name)} value: {{ data_type: {tensor_type(name)} "
        f"dims: [ {dims(shape, dynamic)} ] zero_data: true }} }}"
        for name, shape in manifest.inputs.items()
    )
    return f'model_warmup [ {{ name: "zeros" batch_size: {usual if dynamic else 0} {inputs} }} ]'


def tensor_type(name: str) -> str:
    """Triton's type of an input."""
    return "TYPE_UINT8" if name == IMAGES else "TYPE_FP32"


def dims(shape: str, dynamic: bool) -> str:
    """A manifest's shape as Triton has it; without the batch if that is dynamic."""
    sizes = shape.split("x")[1 if dynamic else 0 :]
    return ", ".join(size if size.isdigit() else "-1" for size in sizes)
