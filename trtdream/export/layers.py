"""An exported file held against its network blob by blob, with Polygraphy doing the comparing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper

from trtdream.errors import UsageError, VerificationFailed
from trtdream.export.build import Limits, build_engine
from trtdream.export.check import element_types
from trtdream.export.front import IMAGES
from trtdream.export.pipeline import EngineRequest, job_for
from trtdream.export.precision import FORMS, Precision
from trtdream.export.samples import Samples
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.engine_trust import check_engine
from trtdream.runtime.manifest import Manifest, check_onnx
from trtdream.runtime.model import Model
from trtdream.runtime.onnx_file import read_onnx
from trtdream.runtime.runner import Runner, run_in_batches
from trtdream.runtime.runner_onnx import OnnxRunner
from trtdream.runtime.runner_torch import TorchRunner
from trtdream.runtime.tensorrt import Library

if TYPE_CHECKING:
    from polygraphy.comparator import RunResults

_FEW = 8  # inputs that all blobs are compared on
_LOUDEST = 200.0  # dB of noise over a blob of zeros, which is infinitely much


@dataclass(frozen=True)
class BlobAgreement:
    """One blob of a file against the network's, over all inputs: least cosine, greatest relative error (L2)."""

    blob: str
    cosine: float
    relative_error: float
    passed: bool


def compare_blobs(model: Model, folder: Path, manifest: Manifest, samples: Samples) -> list[BlobAgreement]:
    """Every blob that an exported file and the network share, in the network's order, on a few inputs.

    An engine shows its inputs and outputs alone: a second one is built of the same ONNX with every blob as an output,
    for the time of the comparison. It fuses less than the first, so what goes wrong in a fusion is not seen in it.

    Raises:
        UsageError: the ONNX of an engine is missing or not known.
        InputRefused: a file is not its manifest's, or an engine that is not for this machine.
    """
    if not manifest.onnx:
        raise UsageError(f"{manifest.file}: was built elsewhere, of an ONNX that is not known; verify it as a whole")
    path = folder / manifest.onnx
    if manifest.is_engine:
        check_engine(folder / manifest.file, ask_cuda().gpus)
    check_onnx(path, manifest)
    graph, tensors = watched(path, model)
    few = samples.blobs[:_FEW]
    given = few if samples.pictures is None or IMAGES not in manifest.inputs else samples.pictures[:_FEW]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        run = stack.enter_context(_runner(model, manifest, graph, list(tensors), scratch))
        reference = stack.enter_context(TorchRunner(model, list(tensors)))
        fixed = manifest.batch[0] == manifest.batch[2]
        wanted = run_in_batches(reference, few, _FEW)
        found = run_in_batches(run, given, manifest.batch[1] if fixed else min(_FEW, manifest.batch[2]), fixed)
    names = tensors if set(tensors.values()) <= set(found) else {name: name for name in tensors}
    return compared(wanted, {name: found[tensor] for name, tensor in names.items()}, _least(manifest))


def compared(
    wanted: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray], least_cosine: float
) -> list[BlobAgreement]:
    """Compare blobs by name, each N x ..., one input at a time, in the order of `wanted`."""
    from polygraphy.comparator import Comparator, CosineSimilarityCompareFunc, SnrCompareFunc
    from polygraphy.logger import G_LOGGER

    with G_LOGGER.verbosity(G_LOGGER.CRITICAL):  # it prints to stdout, which is for results
        functions = [CosineSimilarityCompareFunc(least_cosine), SnrCompareFunc()]
        cosines, ratios = Comparator.compare_accuracy(_results(wanted, found), compare_func=functions)
    (angles,), (noises,) = cosines.values(), ratios.values()  # of the one pair, for each input the blobs' results
    return [_summed(name, [each[name] for each in angles], [each[name] for each in noises]) for name in wanted]


def _summed(blob: str, angles: Sequence[Any], noises: Sequence[Any]) -> BlobAgreement:
    cosine = min((one.cosine_similarity for one in angles), key=lambda value: (not np.isnan(value), value))
    decibels = max(min(one.snr for one in noises), -_LOUDEST)
    return BlobAgreement(blob, float(cosine), float(10 ** (-decibels / 20)), all(map(bool, angles)))


def first_drift(manifest: Manifest, blobs: Sequence[BlobAgreement]) -> None:
    """Raises VerificationFailed with the first blob whose cosine is below what the precision must reach."""
    for blob in blobs:
        if not blob.passed:
            raise VerificationFailed(f"{manifest.file}: {blob.blob} is the first to drift: cosine {blob.cosine:.6f}")


def watched(path: Path, model: Model) -> tuple[onnx.ModelProto, dict[str, str]]:
    """The graph in a file with every blob as an output, and for each blob the tensor that holds it."""
    read_onnx(path)
    graph = onnx.load(path)
    types = element_types(graph)
    written = {name for node in graph.graph.node for name in node.output}
    values = [name for step in model.graph.steps for name in step.writes if name in written]
    ends = {info.name for info in graph.graph.output}
    tensors = {name: f"{name}/float32" if f"{name}/float32" in written else name for name in values}
    for name, tensor in tensors.items():
        if name not in ends:
            graph.graph.output.append(helper.make_tensor_value_info(tensor, types[tensor], None))
    return graph, tensors


def _runner(model: Model, manifest: Manifest, graph: onnx.ModelProto, blobs: Sequence[str], scratch: Path) -> Runner:
    if manifest.built is None:
        if manifest.precision == Precision.BF16:  # ONNX Runtime's CPU kernels have no bfloat16
            return TorchRunner(model, blobs, float_type="bfloat16")
        return OnnxRunner(graph)
    from trtdream.runtime.runner_tensorrt import TensorRTRunner

    gpu = ask_cuda().gpus[0]
    source, target = scratch / "watched.onnx", scratch / f"watched {manifest.file}"
    onnx.save(graph, source)
    request = EngineRequest(Library(manifest.built.library), gpu, gpu.capability)
    build_engine(job_for(request, source, target, manifest), Limits())
    return TensorRTRunner(target, trust=True)


def _results(wanted: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> RunResults:
    """Both sides as Polygraphy takes them: for each input its blobs."""
    from polygraphy.comparator import RunResults

    results = RunResults()
    for name, side in (("network", wanted), ("file", found)):
        count = len(next(iter(side.values())))
        each = [{blob: np.ascontiguousarray(side[blob][i], np.float32) for blob in wanted} for i in range(count)]
        results.add(each, runner_name=name)
    return results


def _least(manifest: Manifest) -> float:
    return FORMS[Precision(manifest.precision)].least_cosine
