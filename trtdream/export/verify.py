"""An exported file held against its network again."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from trtdream.errors import VerificationFailed
from trtdream.export.agreement import Agreement, check_agreement
from trtdream.export.front import IMAGES
from trtdream.export.pipeline import measure
from trtdream.export.precision import Precision
from trtdream.export.samples import Samples
from trtdream.runtime.manifest import Manifest, check_file, write_manifest
from trtdream.runtime.model import Model
from trtdream.runtime.runner import Runner
from trtdream.runtime.runner_onnx import OnnxRunner
from trtdream.runtime.runner_torch import TorchRunner


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
        check_agreement(found, manifest.precision)
    except VerificationFailed:
        write_manifest(folder, replace(manifest, verification=(asdict(found),), passed=False))
        raise
    write_manifest(folder, replace(manifest, verification=(asdict(found),), passed=True))
    return found


def _known(model: Model, outputs: tuple[str, ...]) -> list[str] | None:
    return list(outputs) if all(name in model.graph.values for name in outputs) else None
