"""Ranges of blobs, measured on pictures, and which layers suffer most from quantisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from trtdream.console import progress
from trtdream.errors import VerificationFailed
from trtdream.export.agreement import agreement, check_agreement
from trtdream.export.quantise import calibrated_tensors, quantisable, quantise
from trtdream.runtime.runner import run_in_batches
from trtdream.runtime.runner_onnx import OnnxRunner

_BATCH = 8
_SENSITIVITY_IMAGES = 8


@dataclass(frozen=True)
class Sensitivity:
    """What quantising one layer alone does to the outputs."""

    layer: str
    cosine: float
    relative_error: float


def ranges(model: onnx.ModelProto, layers: Sequence[str], inputs: np.ndarray) -> dict[str, float]:
    """The greatest magnitude of every tensor that quantising those layers needs, over all inputs.

    With GoogLeNet this loses less than cutting off the rarest numbers does (entropy, percentiles).
    """
    wanted = calibrated_tensors(model, layers)
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    given = [info.name for info in model.graph.input]
    del watched.graph.output[:]
    for name in wanted:
        if name not in given:
            watched.graph.output.append(helper.make_empty_tensor_value_info(name))
    found = {name: float(np.abs(inputs).max()) for name in wanted if name in given}
    with OnnxRunner(watched) as run, progress() as bar:
        task = bar.add_task("calibrating", total=len(inputs))
        size, fixed = _batch_of(model)
        for start in range(0, len(inputs), size):
            batch = inputs[start : start + size]
            for name, value in run_in_batches(run, batch, size, fixed).items():
                found[name] = max(found.get(name, 0.0), float(np.abs(value).max()))
            bar.advance(task, len(batch))
    return found


def sensitivity(model: onnx.ModelProto, kind: str, inputs: np.ndarray) -> list[Sensitivity]:
    """Every quantisable layer quantised alone, the worst first."""
    layers = quantisable(model)
    found = ranges(model, layers, inputs)
    few = inputs[:_SENSITIVITY_IMAGES]
    size, fixed = _batch_of(model)
    with OnnxRunner(model) as run:
        wanted = run_in_batches(run, few, size, fixed)
    table = []
    with progress() as bar:
        for layer in bar.track(layers, description="sensitivity"):
            with OnnxRunner(quantise(model, kind, found, [layer])) as run:
                measured = agreement(layer, "", wanted, run_in_batches(run, few, size, fixed))
            table.append(Sensitivity(layer, measured.cosine, measured.relative_error))
    return sorted(table, key=lambda one: one.cosine)


def sensitive_layers(
    model: onnx.ModelProto, kind: str, found: Mapping[str, float], inputs: np.ndarray, precision: str
) -> list[str]:
    """Layers to leave in float, the most sensitive ones, so that on some calibration inputs the rest agrees as the
    precision must; none, as a rule. Half of all at most: what then disagrees still, the verification tells.

    Args:
        found: the ranges of all tensors that quantising every layer needs.
    """
    layers, few, (size, fixed) = quantisable(model), inputs[:_SENSITIVITY_IMAGES], _batch_of(model)
    with OnnxRunner(model) as run:
        wanted = run_in_batches(run, few, size, fixed)

    def agrees(kept: Sequence[str]) -> bool:
        chosen = [layer for layer in layers if layer not in kept]
        with OnnxRunner(quantise(model, kind, found, chosen)) as run:
            try:
                check_agreement(agreement("", "", wanted, run_in_batches(run, few, size, fixed)), precision)
            except VerificationFailed:
                return False
        return True

    if agrees([]):
        return []
    order, count = [one.layer for one in sensitivity(model, kind, inputs)], 1
    while count < len(order) // 2 and not agrees(order[:count]):
        count *= 2
    return order[: min(count, max(len(order) // 2, 1))]


def _batch_of(model: onnx.ModelProto) -> tuple[int, bool]:
    """How many inputs to run at a time, and whether the model takes no other number."""
    first = model.graph.input[0].type.tensor_type.shape.dim[0]
    return (first.dim_value, True) if first.dim_value else (_BATCH, False)
