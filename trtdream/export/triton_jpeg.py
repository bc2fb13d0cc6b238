"""A Triton ensemble: JPEG files in, class probabilities out. DALI decodes and prepares them on the server's GPU.

The pipeline is `trtdream.runtime.preprocess` again: decode, squash, centre crop, channel order, mean, scale. A picture
of the network's own input size is squashed like any other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trtdream.console import say
from trtdream.errors import TrtdreamError
from trtdream.export.front import IMAGES, centre
from trtdream.export.triton import dims, tensor_type
from trtdream.files import replacing, write_file
from trtdream.runtime.manifest import Manifest
from trtdream.runtime.preprocess import Preprocess

if TYPE_CHECKING:
    from nvidia.dali import Pipeline

JPEG = "jpeg"
"""The ensemble's input: the bytes of one file a sample, of any length."""

_OUT = "DALI_OUTPUT_0"  # as Triton's DALI backend counts them
_THREADS = 4


def write_ensemble(repository: Path, name: str, manifest: Manifest, spec: Preprocess | None) -> list[Path]:
    """Write REPOSITORY/NAME_decode (DALI) and REPOSITORY/NAME_jpeg (it and NAME together).

    Returns:
        The two folders; none, and a line that says why, for a network that cannot have them.

    Raises:
        TrtdreamError: DALI is not installed.
    """
    least, _, greatest = manifest.batch
    if spec is None or len(manifest.inputs) != 1 or least == greatest:
        why = "its batch is fixed" if least == greatest else "it takes no pictures alone"
        say(f"{name}: no model that takes JPEG files is written, since {why}")
        return []
    ((given, shape),) = manifest.inputs.items()
    decode, jpeg = repository / f"{name}_decode", repository / f"{name}_jpeg"
    serialised = dali_pipeline(spec, greatest, as_bytes=given == IMAGES).serialize()
    with replacing(decode / "1" / "model.dali") as temporary:
        temporary.write_bytes(serialised)
    write_file(decode / "config.pbtxt", decode_config(decode.name, given, shape, greatest))
    (jpeg / "1").mkdir(parents=True, exist_ok=True)
    if manifest.labels:
        write_file(jpeg / "labels.txt", "\n".join(manifest.labels) + "\n")
    write_file(jpeg / "config.pbtxt", ensemble_config(name, given, manifest))
    return [decode, jpeg]


def dali_pipeline(spec: Preprocess, batch: int, as_bytes: bool, device: str = "gpu") -> Pipeline:
    """The preprocessing as a DALI pipeline, which can be serialised on a machine without a GPU.

    Args:
        as_bytes: end at uint8 H x W x 3 RGB, for a graph that does the rest itself; else at C x H x W float32.
        device: "gpu", or "cpu" to run it without one.
    """
    try:
        from nvidia.dali import fn, pipeline_def, types
    except ImportError as error:
        raise TrtdreamError("a model that decodes JPEG files needs DALI: pip install nvidia-dali-cuda120") from error
    kinds = {"RGB": types.RGB, "BGR": types.BGR, "GREY": types.GRAY}

    @pipeline_def(batch_size=batch, num_threads=_THREADS, device_id=None)  # the server says which GPU
    def graph() -> Any:
        encoded = fn.external_source(name=JPEG, ndim=1, dtype=types.UINT8, device="cpu")
        kind = types.RGB if as_bytes else kinds[spec.channels]
        pixels = fn.decoders.image(encoded, device="mixed" if device == "gpu" else "cpu", output_type=kind)
        if spec.squash is not None:  # antialias=False: cv::resize's bilinear, as Caffe's convert_imageset has it
            pixels = fn.resize(pixels, size=spec.squash, interp_type=types.INTERP_LINEAR, antialias=False)
        # "truncate": Caffe's centre crop starts at the floor of the half
        pixels = fn.crop(pixels, crop=spec.size, crop_pos_x=0.5, crop_pos_y=0.5, rounding="truncate")
        if as_bytes:
            return pixels
        mean = centre(spec) if spec.mean.ndim == 3 else spec.mean[:, None, None]  # C x H x W or C x 1 x 1
        less = fn.cast(pixels, dtype=types.FLOAT) - types.Constant(_last(mean), device=device)
        return fn.transpose(less * np.float32(spec.scale).item(), perm=[2, 0, 1])

    return graph()


def decode_config(name: str, given: str, shape: str, batch: int) -> str:
    """ModelConfig of the DALI model, whose output is what the network's input `given` takes."""
    return (
        f'name: {json.dumps(name)}\nbackend: "dali"\nmax_batch_size: {batch}\n'
        f'input [ {{ name: "{JPEG}" data_type: TYPE_UINT8 dims: [ -1 ] }} ]\n'
        f'output [ {{ name: "{_OUT}" data_type: {tensor_type(given)} dims: [ {dims(shape, True)} ] }} ]\n'
        "dynamic_batching { }\ninstance_group [ { count: 1 kind: KIND_GPU } ]\n"
    )


def ensemble_config(name: str, given: str, manifest: Manifest) -> str:
    """ModelConfig of the two together."""
    labels = ' label_filename: "labels.txt"' if manifest.labels else ""
    outputs = [
        f"output [ {{ name: {json.dumps(one)} data_type: TYPE_FP32 "
        f"dims: [ {dims(manifest.output_shapes[one], True)} ]{labels} }} ]"
        for one in manifest.outputs
    ]
    steps = [
        _step(f"{name}_decode", {JPEG: JPEG}, {_OUT: "pixels"}),
        _step(name, {given: "pixels"}, {one: one for one in manifest.outputs}),
    ]
    return "\n".join(
        [
            f'name: {json.dumps(f"{name}_jpeg")}\nplatform: "ensemble"\nmax_batch_size: {manifest.batch[2]}',
            f'input [ {{ name: "{JPEG}" data_type: TYPE_UINT8 dims: [ -1 ] }} ]',
            *outputs,
            "ensemble_scheduling { step [",
            ",\n".join(steps),
            "] }\n",
        ]
    )


def _step(model: str, inputs: dict[str, str], outputs: dict[str, str]) -> str:
    maps = [("input_map", inputs), ("output_map", outputs)]
    pairs = [
        f"{kind} {{ key: {json.dumps(key)} value: {json.dumps(value)} }}"
        for kind, each in maps
        for key, value in each.items()
    ]
    return f"  {{ model_name: {json.dumps(model)} model_version: -1 {' '.join(pairs)} }}"


def _last(mean: np.ndarray) -> np.ndarray:
    """C x H x W as H x W x C."""
    return np.ascontiguousarray(mean.transpose(1, 2, 0), np.float32)
