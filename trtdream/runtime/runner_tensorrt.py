"""The Runner of TensorRT and TensorRT-RTX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.engine_trust import check_engine
from trtdream.runtime.runner import Closing, by_name
from trtdream.runtime.tensorrt import Library, installed

if TYPE_CHECKING:
    from trtdream.runtime.runner import Array, Batch

_TORCH_TYPES = {"FLOAT": torch.float32, "HALF": torch.float16, "BF16": torch.bfloat16, "INT8": torch.int8}
_TORCH_TYPES |= {"UINT8": torch.uint8, "INT32": torch.int32, "INT64": torch.int64, "BOOL": torch.bool}


_MOST_GRAPHS = 8  # batch sizes with buffers, a context and a CUDA graph of their own; more than that take turns


@dataclass(frozen=True)
class EngineTensor:
    """An input or output of an engine. shape: -1 where it is dynamic. least, usual, greatest: an input's profile."""

    name: str
    is_input: bool
    dtype: torch.dtype
    shape: tuple[int, ...]
    least: tuple[int, ...]
    usual: tuple[int, ...]
    greatest: tuple[int, ...]


@dataclass(frozen=True)
class _Captured:
    """Buffers of one batch size and the CUDA graph that copies in, runs and copies out.

    The graph owns its context: TensorRT leaves undefined what a graph does whose context was changed since.
    """

    host_inputs: Mapping[str, Tensor]
    host_outputs: Mapping[str, Tensor]
    device: Mapping[str, Tensor]
    graph: torch.cuda.CUDAGraph
    context: Any


class TensorRTRunner(Closing):
    """An engine, and a stream to run it in.

    numpy arrays go through pinned buffers, and a CUDA graph for each batch size covers copies and run. CUDA tensors are
    read where they lie, and the outputs are tensors of their own.

    Args:
        engine: a file with its manifest beside it, which is checked before anything is deserialised.
        trust: run a file without a manifest, whatever it may do.

    Raises:
        InputRefused: no manifest, or one that tells of another file, version, GPU or platform.
        TrtdreamError: no GPU, no TensorRT, a torch without CUDA.
    """

    def __init__(self, engine: Path, trust: bool = False) -> None:
        gpus = ask_cuda().gpus
        manifest = None if trust else check_engine(engine, gpus)
        if not gpus or not torch.cuda.is_available():
            raise TrtdreamError(
                f"{engine.name}: running an engine needs a GPU and a torch with CUDA; `trtdream doctor`"
            )
        built = manifest.built if manifest else None
        library = Library(built.library) if built else first_library(engine)
        logger = library.module.Logger(library.module.Logger.ERROR)
        host_code = built is None or built.trusted or built.version_compatible
        self._runtime = library.new_runtime(logger, gpus, host_code)
        torch.cuda.init()  # so that TensorRT works in torch's context
        self._engine = self._runtime.deserialize_cuda_engine(engine.read_bytes())
        if self._engine is None:
            again = f"; build it again: {manifest.command}" if manifest else ""
            raise InputRefused(f"{engine}: {library.name} {library.version} does not load it on {gpus[0].name}{again}")
        self._start(f"{library.name} {library.version} on {gpus[0].name}, {engine.name}")

    def another(self) -> TensorRTRunner:
        """A second runner of the same engine, with a context and a stream of its own, to run beside this one."""
        twin = object.__new__(TensorRTRunner)
        twin._runtime, twin._engine = self._runtime, self._engine
        twin._start(self.description)
        return twin

    def _start(self, description: str) -> None:
        self.description = description
        self._stream = torch.cuda.Stream()
        self.tensors = [self._describe(self._engine.get_tensor_name(i)) for i in range(self._engine.num_io_tensors)]
        self._context: Any = None
        self._captured: dict[tuple[tuple[int, ...], ...], _Captured] = {}
        self.inputs: Sequence[str] = tuple(tensor.name for tensor in self.tensors if tensor.is_input)
        self.outputs: Sequence[str] = tuple(tensor.name for tensor in self.tensors if not tensor.is_input)

    def _describe(self, name: str) -> EngineTensor:
        kind = str(self._engine.get_tensor_dtype(name)).rpartition(".")[2]
        is_input = str(self._engine.get_tensor_mode(name)).endswith("INPUT")
        if kind not in _TORCH_TYPES:
            raise InputRefused(f"{self.description}: {name} is {kind}, which torch has no tensors of")
        shape = tuple(self._engine.get_tensor_shape(name))
        profile = [shape] * 3
        if is_input and -1 in shape:
            profile = [tuple(each) for each in self._engine.get_tensor_profile_shape(name, 0)]
        return EngineTensor(name, is_input, _TORCH_TYPES[kind], shape, *profile)

    def close(self) -> None:
        """Wait for what runs, and free the engine."""
        self._stream.synchronize()
        self._captured.clear()
        self._context = None  # contexts go before their engine, the engine before its runtime
        self._engine = None
        self._runtime = None

    def __call__(self, batch: Batch) -> dict[str, Array]:
        given = by_name(batch, self.inputs)
        if all(isinstance(array, np.ndarray) for array in given.values()):
            return self._run_arrays({name: np.asarray(array) for name, array in given.items()})
        return self._run_tensors({name: torch.as_tensor(array) for name, array in given.items()})

    def _run_arrays(self, given: Mapping[str, np.ndarray]) -> dict[str, Array]:
        shapes = tuple(given[name].shape for name in self.inputs)
        if shapes not in self._captured:
            if len(self._captured) == _MOST_GRAPHS:
                self._captured.pop(next(iter(self._captured)))
            self._captured[shapes] = self._capture(dict(zip(self.inputs, shapes, strict=True)))
        captured = self._captured[shapes]
        for name, array in given.items():
            np.copyto(captured.host_inputs[name].numpy(), array, casting="same_kind")
        with torch.cuda.stream(self._stream):
            captured.graph.replay()
        self._stream.synchronize()
        return {name: _array(tensor) for name, tensor in captured.host_outputs.items()}

    def _capture(self, shapes: Mapping[str, tuple[int, ...]]) -> _Captured:
        """Run once, so that everything is set up, then record copies and run."""
        context = self._new_context()
        sizes = self._set_shapes(context, shapes)
        device = {t.name: torch.zeros(sizes[t.name], dtype=t.dtype, device="cuda") for t in self.tensors}
        host = {t.name: torch.zeros(sizes[t.name], dtype=t.dtype, pin_memory=True) for t in self.tensors}
        torch.cuda.current_stream().synchronize()
        self._enqueue(context, device)
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            for name in self.inputs:
                device[name].copy_(host[name], non_blocking=True)
            self._enqueue(context, device)
            for name in self.outputs:
                host[name].copy_(device[name], non_blocking=True)
        inputs, outputs = ({name: host[name] for name in names} for names in (self.inputs, self.outputs))
        return _Captured(inputs, outputs, device, graph, context)

    def _run_tensors(self, given: Mapping[str, Tensor]) -> dict[str, Array]:
        if self._context is None:
            self._context = self._new_context()
        held = {t.name: given[t.name].to("cuda", t.dtype).contiguous() for t in self.tensors if t.is_input}
        sizes = self._set_shapes(self._context, {name: tuple(tensor.shape) for name, tensor in held.items()})
        for tensor in self.tensors:
            if not tensor.is_input:
                held[tensor.name] = torch.empty(sizes[tensor.name], dtype=tensor.dtype, device="cuda")
        callers = torch.cuda.current_stream()
        self._stream.wait_stream(callers)
        self._enqueue(self._context, held)
        callers.wait_stream(self._stream)
        for tensor_held in held.values():
            tensor_held.record_stream(self._stream)
        return {name: held[name] for name in self.outputs}

    def _new_context(self) -> Any:
        context = self._engine.create_execution_context()
        if context is None or context.active_optimization_profile < 0:
            raise TrtdreamError(
                f"{self.description}: gives no further execution context: no memory, or a plan that was built without "
                "shared profiles"
            )
        return context

    def _set_shapes(self, context: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Tell a context its inputs' shapes; gives the shapes of all tensors."""
        profiles = {tensor.name: tensor for tensor in self.tensors}
        for name, shape in shapes.items():
            least, greatest = profiles[name].least, profiles[name].greatest
            fits = len(shape) == len(least) and all(a <= b <= c for a, b, c in zip(least, shape, greatest, strict=True))
            if not fits or not context.set_input_shape(name, shape):
                raise UsageError(
                    f"{self.description}: {name} of {shape} is none that it was built for, {least} to {greatest}"
                )
        return {tensor.name: tuple(context.get_tensor_shape(tensor.name)) for tensor in self.tensors}

    def _enqueue(self, context: Any, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            context.set_tensor_address(name, tensor.data_ptr())
        if not context.execute_async_v3(self._stream.cuda_stream):
            raise TrtdreamError(f"{self.description}: the run failed; a CUDA error stays, so end this process")


def _array(tensor: Tensor) -> np.ndarray:
    """A copy; numpy has no bfloat16, which becomes float32."""
    return tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy().copy()


def first_library(engine: Path) -> Library:
    """The library that runs a plan nothing is known of."""
    libraries: list[Any] = installed()
    if not libraries:
        raise TrtdreamError(f"{engine.name}: TensorRT is not installed; `trtdream doctor` says how to add it")
    return libraries[0]
