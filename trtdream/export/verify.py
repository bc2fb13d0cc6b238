"""An exported file held against its network again, as a whole or blob by blob."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from trtdream.errors import UsageError, VerificationFailed
from trtdream.export.agreement import Agreement, agreement, check_agreement
from trtdream.export.check import element_types
from trtdream.export.front import IMAGES
from trtdream.export.pipeline import measure
from trtdream.export.precision import FORMS, Precision
from trtdream.export.samples import Samples
from trtdream.runtime.manifest import Manifest, check_file, write_manifest
from trtdream.runtime.model import Model
from trtdream.runtime.onnx_file import read_onnx
from trtdream.runtime.runner import Runner
from trtdream.runtime.runner_onnx import OnnxRunner
from trtdream.runtime.runner_torch import TorchRunner

_FEW = 8  # inputs that all blobs are compared on


def verify_file(model: Model, folder: Path, manifest: Manifest, samples: Samples) -> Agreement:
    """Measure the agreement anew and write it into the manifest.

    Raises:
        InputRefused: the file is not the manifest's, or cannot run here.
        VerificationFailed: it agrees less than its precision must.
    """
    path = folder / manifest.file
    check_file(path, manifest)
    runner: Runner
    if manifest.is_engine:
        from trtdream.runtime.runner_tensorrt import TensorRTRunner

        runner = TensorRTRunner(path)
    elif manifest.precision == Precision.BF16:
        runner = TorchRunner(model, _known(model, manifest.outputs), float_type="bfloat16")
    else:
        runner = OnnxRunner(path)
    least, usual, greatest = manifest.batch
    front = IMAGES in manifest.inputs
    found = measure(model, runner, samples, manifest.outputs, usual, front, fixed=least == greatest)
    try:
        check_agreement(found, Precision(manifest.precision))
    except VerificationFailed:
        write_manifest(folder, replace(manifest, verification=(asdict(found),), passed=False))
        raise
    write_manifest(folder, replace(manifest, verification=(asdict(found),), passed=True))
    return found


def compare_blobs(model: Model, path: Path, samples: Samples) -> list[Agreement]:
    """Every blob that the ONNX file and the network share, in the network's order, on a few inputs.

    Raises:
        UsageError: the file is an engine, whose inner blobs nobody can see, or takes pictures.
    """
    if path.suffix != ".onnx":
        raise UsageError(
            f"{path.name}: only an ONNX file shows its blobs; compare {path.stem.partition('_sm')[0]}.onnx"
        )
    read_onnx(path)
    graph = onnx.load(path)
    if IMAGES in {info.name for info in graph.graph.input}:
        raise UsageError(f"{path.name}: takes pictures; --per-layer compares files whose input is the network's blob")
    types = element_types(graph)
    written = {name for node in graph.graph.node for name in node.output}
    values = [name for step in model.graph.steps for name in step.writes if name in written]
    ends = {info.name for info in graph.graph.output}
    tensors = {name: f"{name}/float32" if f"{name}/float32" in written else name for name in values}
    for name, tensor in tensors.items():
        if name not in ends:
            graph.graph.output.append(helper.make_tensor_value_info(tensor, types[tensor], None))
    few = samples.blobs[:_FEW]
    with TorchRunner(model, values) as reference, OnnxRunner(graph) as run:
        wanted, found = reference(few), run(few)
    return [
        agreement(
            name, samples.what, {name: np.asarray(wanted[name])}, {name: np.asarray(found[tensors[name]], np.float32)}
        )
        for name in values
    ]


def first_drift(manifest: Manifest, blobs: list[Agreement]) -> None:
    """Raises VerificationFailed with the first blob whose cosine is below what the precision must reach."""
    least = FORMS[Precision(manifest.precision)].least_cosine
    for blob in blobs:
        if blob.cosine < least:
            raise VerificationFailed(f"{manifest.file}: {blob.backend} is the first to drift: cosine {blob.cosine:.6f}")


def _known(model: Model, outputs: tuple[str, ...]) -> list[str] | None:
    return list(outputs) if all(name in model.graph.values for name in outputs) else None
