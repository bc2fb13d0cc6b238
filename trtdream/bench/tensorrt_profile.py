"""A network layer by layer in TensorRT, by its own profiler (IProfiler), on an engine built on the spot."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from trtdream.bench.clock import clock_for
from trtdream.bench.fused import Held, Names, rows_of_profile, sums
from trtdream.bench.graphs import graph_of, input_shape, noise, number_bytes, precision_of, random_model
from trtdream.bench.limits import Limits
from trtdream.bench.nettime import NetTime
from trtdream.bench.timing import Repeats, repeat
from trtdream.errors import TrtdreamError, UsageError
from trtdream.export.precision import FORMS, Precision
from trtdream.net.net import Net
from trtdream.net.shapes import infer_shapes
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.tensorrt import Library, library_for

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

_WHOLE, _ISSUING, _LAYERS = Held(label="whole"), Held(label="issuing"), Held(label="layers")


def tensorrt_here() -> Library:
    """The TensorRT that runs on this machine's first GPU.

    Raises:
        TrtdreamError: there is no GPU, or nothing that runs on it.
    """
    gpus = ask_cuda().gpus
    if not gpus:
        raise TrtdreamError("TensorRT needs an NVIDIA GPU, and there is none here")
    library = library_for(gpus, None)
    if library is None:
        raise TrtdreamError(
            f"no TensorRT that runs on {gpus[0].name} is installed; `trtdream doctor` says how to add it"
        )
    return library


def build_here(graph: onnx.ModelProto, precision: Precision, library: Library, folder: Path) -> Path:
    """An engine of the graph, for this machine's first GPU.

    Raises:
        UsageError: a precision that this TensorRT cannot build.
        TrtdreamError: the build failed.
    """
    from trtdream.export.build import Job, Limits, build_engine

    if library.major < FORMS[precision].oldest_tensorrt:
        raise UsageError(f"{precision}: needs TensorRT {FORMS[precision].oldest_tensorrt}, here is {library.version}")
    source, engine = folder / "net.onnx", folder / "net.engine"
    source.write_bytes(graph.SerializeToString())
    build_engine(Job(library.name, str(source), str(engine), precision), Limits())
    return engine


def time_in_tensorrt(net: Net, batch: int | None, precision: str, repeats: Repeats, limits: Limits) -> NetTime:
    """Measure the deploy network on tensors that lie on the GPU: in turns whole, and layer by layer with the profiler.

    With its profiler on, TensorRT waits after every layer: the rows add up to more than the whole where the network is
    launch-bound.

    Raises:
        UsageError: an unknown precision, or one that this TensorRT cannot build.
        InputRefused: a network with several inputs.
        TrtdreamError: no GPU, no TensorRT for it, or the build failed.
    """
    import torch

    from trtdream.runtime.runner_tensorrt import TensorRTRunner

    library, chosen = tensorrt_here(), precision_of(precision)
    model = random_model(net)
    shape = input_shape(model, batch)
    graph = graph_of(model, chosen, shape[0])
    names, clock = Names(graph.graph, list(model.graph.layers)), clock_for("cuda")
    data = torch.from_numpy(noise(shape)).cuda()
    with TemporaryDirectory() as folder:
        engine = build_here(graph, chosen, library, Path(folder))
        with TensorRTRunner(engine, trust=True) as plain:
            profiled = _Profiled(engine, library, data)

            def in_turns() -> dict[Held, float]:
                clock.wait()
                start = clock.mark()
                plain(data)
                end = clock.mark()
                clock.wait()
                times = sums(profiled.run(), lambda kernel: _held(names, kernel))
                whole = {_WHOLE: clock.between(start, end), _ISSUING: clock.issuing(start, end) or 0.0}
                return {**times, **whole, _LAYERS: sum(times.values())}

            times = repeat(in_turns, repeats)
    whole, issuing, added_up = times.pop(_WHOLE), times.pop(_ISSUING), times.pop(_LAYERS)
    layers = infer_shapes(model.graph, {model.graph.inputs[0]: shape})
    rows = rows_of_profile(times, layers, precision, number_bytes(chosen), limits)
    return NetTime(rows, whole, None, {"forward": added_up}, shape[0], None, {"forward": issuing})


def _held(names: Names, kernel: str) -> Held:
    """TensorRT writes all the nodes that it fused into a kernel's name, as in `conv1 + relu1`."""
    layers = names.within(kernel)
    return Held(layers) if layers else Held(label=f"({kernel})")


class _Profiled:
    """An execution context that tells how long each kernel took; its tensors stay on the GPU."""

    def __init__(self, engine: Path, library: Library, data: Tensor) -> None:
        import torch

        trt = library.module
        self._found: dict[str, float] = {}
        self._runtime = library.new_runtime(trt.Logger(trt.Logger.ERROR), ask_cuda().gpus)
        self._engine = self._runtime.deserialize_cuda_engine(engine.read_bytes())
        self._context = self._engine.create_execution_context()
        self._profiler = _profiler(trt, self._found)  # the context keeps no reference to it
        self._context.profiler = self._profiler
        self._stream = torch.cuda.Stream()
        self._tensors: list[Tensor] = []
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            is_input = str(self._engine.get_tensor_mode(name)).endswith("INPUT")
            shape = tuple(self._engine.get_tensor_shape(name))  # fixed, and float32: the graph was written so
            self._tensors.append(data if is_input else torch.empty(shape, device="cuda"))
            self._context.set_tensor_address(name, self._tensors[-1].data_ptr())

    def run(self) -> dict[str, float]:
        """Milliseconds of one run by kernel."""
        self._found.clear()
        self._context.execute_async_v3(self._stream.cuda_stream)
        self._stream.synchronize()
        return dict(self._found)


def _profiler(trt: Any, found: dict[str, float]) -> Any:
    class Profiler(trt.IProfiler):
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            found[layer_name] = found.get(layer_name, 0.0) + ms

    return Profiler()
