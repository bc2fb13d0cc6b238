"""Parse an ONNX file and build an engine, in a process of its own: what dies here takes nobody along.

    python -m trtdream.export.build_worker JOB.json

The job is `trtdream.export.build.Job`. Lines on stdout are JSON: {"phase", "step", "steps"} while it goes on, then one
{"layer_types", "size"} or {"error"}.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx

from trtdream.export.build import Job
from trtdream.export.quantise import with_float_weights
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.tensorrt import Library

_GIB = 2**30
# the words of the inspector of TensorRT 8.6, 10 and 11
_NAMES = {"fp16": "HALF", "half": "HALF", "float16": "HALF", "bf16": "BF16", "bfloat16": "BF16", "int8": "INT8"}
_NAMES |= {"fp8": "FP8", "float8": "FP8", "fp32": "FLOAT", "float": "FLOAT", "float32": "FLOAT"}


def build(job: Job) -> dict[str, Any]:
    """Write the engine; gives its layers' types.

    Raises:
        ValueError: the parser refuses the graph, or no engine comes of it.
    """
    library = Library(job.library)
    trt = library.module
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(library.network_flags())
    parser = trt.OnnxParser(network, logger)
    if not _parse(parser, library, job):
        faults = [parser.get_error(index) for index in range(parser.num_errors)]
        raise ValueError("; ".join(_fault(fault) for fault in faults[:3]))
    config = _configure(library, builder, network, job)
    with _timing_cache(library, config, job):
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ValueError("the builder gave nothing")
    content = bytes(plan)
    Path(job.engine).write_bytes(content)
    gpus = ask_cuda().gpus
    types = _inspected(library, logger, content, job) if gpus and job.inspect else {}
    return {"layer_types": types or _parsed(network), "size": len(content)}


def _parse(parser: Any, library: Library, job: Job) -> bool:
    if library.wants_float_weights and _types(job)[1]:
        graph = with_float_weights(onnx.load(job.onnx))
        return bool(parser.parse(graph.SerializeToString()))
    return bool(parser.parse_from_file(job.onnx))


def _types(job: Job) -> tuple[bool, bool]:
    """Whether the network may compute in float16, and whether it holds int8.

    What an int8 graph leaves float may be float16 in TensorRT 8.6; a foreign graph has the types it has.
    """
    if job.precision != "own":
        return job.precision in ("fp16", "int8"), job.precision == "int8"
    graph = onnx.load(job.onnx, load_external_data=False).graph
    half = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in graph.initializer)
    return half, any(node.op_type == "QuantizeLinear" for node in graph.node)


def _fault(fault: Any) -> str:
    """A parser's error in a line; TensorRT 8.6 has no node's name for it."""
    named = f"{fault.node_operator()} {fault.node_name()!r}" if hasattr(fault, "node_operator") else fault.node()
    return f"node {named}: {' '.join(fault.desc().split())}"


def _configure(library: Library, builder: Any, network: Any, job: Job) -> Any:
    trt = library.module
    config = builder.create_builder_config()
    for flag in library.builder_flags(*_types(job)):
        config.set_flag(flag)
    for feature in library.preview_features():
        config.set_preview_feature(feature, True)
    (config.set_flag if job.precision == "tf32" else config.clear_flag)(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the inspector tells no types without it
    if job.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(job.workspace * _GIB))
    if job.level is not None:
        config.builder_optimization_level = job.level
    if job.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if job.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if library.is_rtx and job.target is not None:
        config.num_compute_capabilities = 1
        name = f"SM{job.target.replace('.', '')}"
        config.set_compute_capability(getattr(trt.ComputeCapability, name), 0)
    if any(-1 in tuple(network.get_input(i).shape) for i in range(network.num_inputs)):
        profile = builder.create_optimization_profile()
        for index in range(network.num_inputs):
            tensor = network.get_input(index)
            profile.set_shape(tensor.name, *job.shapes[tensor.name])
        config.add_optimization_profile(profile)
    if library.has_progress:
        config.progress_monitor = _monitor(trt)
    return config


def _monitor(trt: Any) -> Any:
    """An IProgressMonitor that prints a line a step; its class exists only with the library."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:  # noqa: ARG002
            self.steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            _tell({"phase": phase_name, "step": step + 1, "steps": self.steps.get(phase_name, 0)})
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()


@contextlib.contextmanager
def _timing_cache(library: Library, config: Any, job: Job) -> Iterator[None]:
    """The cache of this GPU and version, read before and written after under a lock, what others added kept."""
    if job.timing_cache is None or not library.has_timing_cache:
        yield
        return
    path = Path(job.timing_cache)
    known = path.read_bytes() if path.exists() else b""
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):  # damaged, or of another GPU
        known, cache = b"", config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    yield
    try:
        _keep(path, cache, config, known)
    except OSError as error:  # the engine is there all the same
        print(f"{path}: the timing cache cannot be written ({error.strerror})", file=sys.stderr)


def _keep(path: Path, cache: Any, config: Any, known: bytes) -> None:
    with locked(path):
        others = path.read_bytes() if path.exists() else b""
        if others != known and (added := config.create_timing_cache(others)) is not None:
            cache.combine(added, ignore_mismatch=False)
        temporary = path.with_name(f".{path.name}.{id(cache)}")
        temporary.write_bytes(bytes(cache.serialize()))
        temporary.replace(path)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file of a path; others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _parsed(network: Any) -> dict[str, int]:
    """Types of all layers' first outputs in the parsed network, shape arithmetic left out."""
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    types = Counter(str(layer.get_output(0).dtype).rpartition(".")[2] for layer in layers if layer.num_outputs)
    return {name: count for name, count in sorted(types.items()) if name not in ("INT64", "BOOL", "INT32")}


def _inspected(library: Library, logger: Any, plan: bytes, job: Job) -> dict[str, int]:
    """Types of the layers in the engine, by its inspector; empty if it tells none."""
    runtime = library.new_runtime(logger, ask_cuda().gpus, host_code=job.version_compatible)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise ValueError("the engine that was built does not load here")
    inspector = engine.create_engine_inspector()
    context = engine.create_execution_context()  # without shapes it tells no formats of a dynamic engine
    if context is not None:
        for name, (_, usual, _) in job.shapes.items():
            context.set_input_shape(name, tuple(usual))
        inspector.execution_context = context
    return count_types(json.loads(inspector.get_engine_information(library.module.LayerInformationFormat.JSON)))


def count_types(information: dict[str, Any]) -> dict[str, int]:
    """How many layers have each type, by the inspector's JSON: {"Layers": [{"Outputs": [...], "Weights": {...}}]}.

    A layer's type is that of its first output; where that is "N/A due to dynamic shapes", as TensorRT 8.6 has it even
    with shapes set, that of its weights.
    """
    layers = [layer for layer in information.get("Layers", []) if isinstance(layer, dict)]
    types = Counter(kind for kind in map(_layer_type, layers) if kind is not None)
    return dict(sorted(types.items()))


def _layer_type(layer: dict[str, Any]) -> str | None:
    outputs, weights = layer.get("Outputs") or [{}], layer.get("Weights")
    told = [outputs[0].get("Format/Datatype", ""), weights.get("Type", "") if isinstance(weights, dict) else ""]
    words = " ".join(map(str, told)).lower().replace(",", " ").split()
    return next((_NAMES[word] for word in words if word in _NAMES), None)


def _tell(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def main() -> None:
    job = Job(**json.loads(Path(sys.argv[1]).read_text()))
    try:
        _tell(build(job))
    except Exception as error:  # whatever it is, the parent tells it in one line
        _tell({"error": f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"})
        sys.exit(1)


if __name__ == "__main__":
    main()
