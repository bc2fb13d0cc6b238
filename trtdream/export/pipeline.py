"""`trtdream export`: network -> ONNX -> engine, each held against torch, with manifests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import onnx

from trtdream import __version__
from trtdream.console import say
from trtdream.errors import UsageError, VerificationFailed
from trtdream.export.agreement import Agreement, agreement, check_agreement
from trtdream.export.build import Job, Limits, build_engine
from trtdream.export.calibrate import ranges, sensitive_layers
from trtdream.export.check import element_types
from trtdream.export.front import IMAGES
from trtdream.export.metadata import describe, preprocess_document, save_onnx
from trtdream.export.onnx_net import GraphOptions, onnx_from_model
from trtdream.export.precision import FORMS, Precision
from trtdream.export.quantise import quantisable, quantise
from trtdream.export.samples import Samples
from trtdream.files import refuse_overwrite, sha256
from trtdream.runtime.cuda import Gpu
from trtdream.runtime.manifest import Built, Manifest, write_manifest
from trtdream.runtime.model import Model
from trtdream.runtime.runner import Runner, run_in_batches
from trtdream.runtime.runner_onnx import OnnxRunner
from trtdream.runtime.runner_torch import TorchRunner
from trtdream.runtime.tensorrt import Library, this_platform

_WANTED_TYPE = {"fp16": "HALF", "bf16": "BF16", "int8": "INT8", "fp8": "FP8", "fp32": "FLOAT", "tf32": "FLOAT"}


@dataclass(frozen=True)
class Request:
    """What to export.

    folder, name: the files are `folder/name_PRECISION_bBATCH...`. graph: how the ONNX is written. keep: layers that
    stay unquantised; none, and they are chosen by what quantising them costs. command: what makes the file again.
    """

    precision: Precision
    graph: GraphOptions
    folder: Path
    name: str
    command: str
    keep: tuple[str, ...] = ()
    force: bool = False

    @property
    def stem(self) -> str:
        """The file's name but for its suffix."""
        safe = re.sub(r"[^A-Za-z0-9.-]+", "-", self.name).strip("-") or "net"
        return f"{safe}_{self.precision}_b{self.graph.batch}"

    @property
    def onnx_path(self) -> Path:
        return self.folder / f"{self.stem}.onnx"


@dataclass(frozen=True)
class EngineRequest:
    """How to build the engine: with which library, for which GPU (None: ahead of time for `capability`)."""

    library: Library
    gpu: Gpu | None
    capability: str
    workspace: float | None = None
    level: int | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False
    limits: Limits = field(default_factory=Limits)

    @property
    def built(self) -> Built:
        """For the manifest."""
        gpu = self.gpu.name if self.gpu else None
        return Built(
            self.library.name,
            self.library.version,
            gpu,
            self.capability,
            this_platform(),
            self.version_compatible,
            self.hardware_compatible,
        )


def write_graph(model: Model, request: Request, calibration: Samples | None) -> onnx.ModelProto:
    """The graph in its precision; int8 and fp8 are calibrated.

    Raises:
        UsageError: no calibration pictures, or a layer to keep that does not exist.
        InputRefused: see `onnx_from_model`.
    """
    kind = FORMS[request.precision].quantised
    if kind is None:
        return onnx_from_model(model, request.graph)
    if calibration is None:
        raise UsageError(
            f"--{request.precision} is calibrated on pictures: give some hundred with --calibration FOLDER"
        )
    made = onnx_from_model(model, request.graph)
    layers = quantisable(made)
    if unknown := sorted(set(request.keep) - set(layers)):
        raise UsageError(f"--keep {', '.join(unknown)}: no layer that would be quantised is called so")
    inputs = calibration.pictures if request.graph.front else calibration.blobs
    assert inputs is not None
    found = ranges(made, layers, inputs)
    kept = request.keep or sensitive_layers(made, kind, found, inputs, request.precision)
    if kept and not request.keep:
        say(f"{', '.join(kept)}: left in float, where {request.precision} would cost too much (--keep chooses others)")
    quantised = quantise(made, kind, found, [layer for layer in layers if layer not in kept])
    return onnx.shape_inference.infer_shapes(quantised, check_type=True, strict_mode=True, data_prop=True)


def export_onnx(model: Model, request: Request, graph: onnx.ModelProto, samples: Samples) -> Manifest:
    """Write the ONNX file and, after holding it against torch, its manifest.

    Raises:
        UsageError: the file exists already and `force` was not asked for.
        VerificationFailed: it agrees less than its precision must; file and manifest stay, and say so.
    """
    path = request.onnx_path
    refuse_overwrite(path, request.force)
    preprocess = preprocess_document(model, request.stem, request.folder)
    describe(graph, model, request.precision, preprocess)
    save_onnx(graph, path)
    batch = request.graph.batch
    manifest = Manifest(
        file=path.name,
        sha256=sha256(path),
        onnx=path.name,
        onnx_sha256=sha256(path),
        network=model.net.name,
        weights=Path(model.weights.origin).name,
        weights_sha256=model.weights.sha256,
        precision=str(request.precision),
        batch=(batch.least, batch.usual, batch.greatest),
        inputs={info.name: _shape_text(info) for info in graph.graph.input},
        outputs=tuple(info.name for info in graph.graph.output),
        output_shapes={info.name: _shape_text(info) for info in graph.graph.output},
        preprocess=preprocess,
        labels=model.labels,
        command=request.command,
        trtdream=__version__,
        layer_types=_types(graph),
        kept=tuple(quantisable(graph)) if FORMS[request.precision].quantised else (),
    )
    return _verified(model, request, manifest, samples, _onnx_runner(model, request, path))


def export_engine(model: Model, request: Request, engine: EngineRequest, made: Manifest, samples: Samples) -> Manifest:
    """Build the engine of an exported ONNX file, and hold it against torch if it can run here.

    Raises:
        UsageError: the file exists already, or the library is too old for the precision.
        TrtdreamError: no engine came of it.
        VerificationFailed: no layer of it has the precision asked for, or it agrees less than it must.
    """
    library, oldest = engine.library, FORMS[request.precision].oldest_tensorrt
    if library.major < oldest:
        raise UsageError(f"--{request.precision} needs TensorRT {oldest} or newer, here is {library.version}")
    path = request.folder / engine_name(request.stem, engine)
    refuse_overwrite(path, request.force)
    types = build_engine(job_for(engine, request.onnx_path, path, made), engine.limits)
    manifest = replace(
        made, file=path.name, sha256=sha256(path), built=engine.built, layer_types=types, verification=(), passed=False
    )
    write_manifest(request.folder, manifest)
    if not types.get(_WANTED_TYPE[request.precision]):
        raise VerificationFailed(f"{path.name}: not one layer computes in {request.precision}; its types are {types}")
    if engine.gpu is None:
        say(
            f"{path.name}: built for sm_{engine.capability.replace('.', '')}, to be verified on such a GPU with "
            f"`trtdream engines verify {path.name}`"
        )
        return manifest
    from trtdream.runtime.runner_tensorrt import TensorRTRunner

    return _verified(model, request, manifest, samples, TensorRTRunner(path))


def engine_name(stem: str, engine: EngineRequest) -> str:
    """`STEM_sm89_trt10.9.0.engine`."""
    kind = "rtx" if engine.library.is_rtx else "trt"
    return f"{stem}_sm{engine.capability.replace('.', '')}_{kind}{engine.library.version}.engine"


def job_for(engine: EngineRequest, source: Path, target: Path, made: Manifest) -> Job:
    """What the build process is told."""
    shapes = {
        name: [[size, *map(int, text.split("x")[1:])] for size in made.batch] for name, text in made.inputs.items()
    }
    gpu = re.sub(r"[^A-Za-z0-9]+", "-", engine.gpu.name) if engine.gpu else None
    cache = target.parent / "timing" / f"{gpu}_{engine.library.version}.cache"
    return Job(
        library=engine.library.name,
        onnx=str(source),
        engine=str(target),
        precision=made.precision,
        shapes=shapes,
        workspace=engine.workspace,
        level=engine.level,
        version_compatible=engine.version_compatible,
        hardware_compatible=engine.hardware_compatible,
        target=engine.capability if gpu is None else None,
        timing_cache=str(cache) if gpu is not None else None,
    )


def measure(
    model: Model, runner: Runner, samples: Samples, outputs: Sequence[str], batch: int, front: bool, fixed: bool
) -> Agreement:
    """A runner held against the network's torch form on the same inputs.

    Args:
        batch: how many are run at a time. front: whether the runner takes pictures. fixed: whole batches only.
    """
    with TorchRunner(model, _values(model, outputs)) as reference:
        wanted = run_in_batches(reference, samples.blobs, batch)
    inputs = samples.pictures if front else samples.blobs
    assert inputs is not None
    with runner as run:
        found = run_in_batches(run, inputs, batch, fixed)
        return agreement(run.description, samples.what, wanted, found)


def _verified(model: Model, request: Request, manifest: Manifest, samples: Samples, runner: Runner) -> Manifest:
    batch, front = request.graph.batch, IMAGES in manifest.inputs
    found = measure(model, runner, samples, manifest.outputs, batch.usual, front, not batch.dynamic)
    tried = replace(manifest, verification=(asdict(found),))
    try:
        check_agreement(found, request.precision)
    except VerificationFailed:
        write_manifest(request.folder, tried)
        raise
    passed = replace(tried, passed=True)
    write_manifest(request.folder, passed)
    say(f"{manifest.file}: {found.line} ({found.inputs})")
    return passed


def _onnx_runner(model: Model, request: Request, path: Path) -> Runner:
    """ONNX Runtime; its CPU kernels have no bfloat16, which torch stands in for."""
    if request.precision is not Precision.BF16:
        return OnnxRunner(path)
    outputs = [info.name for info in onnx.load(path, load_external_data=False).graph.output]
    return TorchRunner(model, _values(model, outputs), float_type="bfloat16")


def _values(model: Model, outputs: Sequence[str]) -> list[str] | None:
    """The outputs as values of the network; None where a softmax was put behind its scores."""
    return list(outputs) if all(name in model.graph.values for name in outputs) else None


def _types(graph: onnx.ModelProto) -> dict[str, int]:
    """How many nodes put out each floating or quantised type, by TensorRT's names."""
    names = {1: "FLOAT", 10: "HALF", 16: "BF16", 3: "INT8", 17: "FP8"}
    types = element_types(graph)
    found = [names[types[node.output[0]]] for node in graph.graph.node if types.get(node.output[0]) in names]
    return {name: found.count(name) for name in sorted(set(found))}


def _shape_text(info: onnx.ValueInfoProto) -> str:
    """`Nx3x224x224`."""
    dims = info.type.tensor_type.shape.dim
    return "x".join(str(d.dim_value) if d.HasField("dim_value") else d.dim_param for d in dims)
