"""The Runner of TensorRT and TensorRT-RTX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.engine_trust import check_engine
from trtdream.runtime.runner import by_name
from trtdream.runtime.tensorrt import Library, installed

if TYPE_CHECKING:
    from trtdream.runtime.runner import Array, Batch

_TORCH_TYPES = {"FLOAT": torch.float32, "HALF": torch.float16, "BF16": torch.bfloat16, "INT8": torch.int8}
_TORCH_TYPES |= {"UINT8": torch.uint8, "INT32": torch.int32, "INT64": torch.int64, "BOOL": torch.bool}


@dataclass(frozen=True)
class _Tensor:
    name: str
    is_input: bool
    dtype: torch.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Captured:
    """Buffers of one batch size and the CUDA graph that copies in, runs and copies out."""

    host_inputs: Mapping[str, Tensor]
    host_outputs: Mapping[str, Tensor]
    device: Mapping[str, Tensor]
    graph: torch.cuda.CUDAGraph


class TensorRTRunner:
    """An engine with one execution context and one stream.

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
        library = Library(manifest.built.library) if manifest and manifest.built else _first_library(engine)
        logger = library.module.Logger(library.module.Logger.ERROR)
        self._runtime = library.new_runtime(logger, gpus)
        self._engine = self._runtime.deserialize_cuda_engine(engine.read_bytes())
        if self._engine is None:
            again = f"; build it again: {manifest.command}" if manifest else ""
            raise InputRefused(f"{engine}: {library.name} {library.version} does not load it on {gpus[0].name}{again}")
        self._start(f"{library.name} {library.version} on {gpus[0].name}, {engine.name}")

    def another(self) -> TensorRTRunner:
        """A second context of the same engine, with a stream of its own, to run beside this one."""
        twin = object.__new__(TensorRTRunner)
        twin._runtime, twin._engine = self._runtime, self._engine
        twin._start(self.description)
        return twin

    def _start(self, description: str) -> None:
        self.description = description
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise TrtdreamError(f"{description}: no memory for an execution context")
        self._stream = torch.cuda.Stream()
        self._tensors = [self._describe(self._engine.get_tensor_name(i)) for i in range(self._engine.num_io_tensors)]
        self._captured: dict[tuple[tuple[int, ...], ...], _Captured] = {}
        self.inputs: Sequence[str] = tuple(tensor.name for tensor in self._tensors if tensor.is_input)
        self.outputs: Sequence[str] = tuple(tensor.name for tensor in self._tensors if not tensor.is_input)

    def _describe(self, name: str) -> _Tensor:
        kind = str(self._engine.get_tensor_dtype(name)).rpartition(".")[2]
        is_input = str(self._engine.get_tensor_mode(name)).endswith("INPUT")
        return _Tensor(name, is_input, _TORCH_TYPES[kind], tuple(self._engine.get_tensor_shape(name)))

    def __enter__(self) -> TensorRTRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stream.synchronize()
        self._captured.clear()
        self._context = self._engine = self._runtime = None

    def __call__(self, batch: Batch) -> dict[str, Array]:
        given = by_name(batch, self.inputs)
        if all(isinstance(array, np.ndarray) for array in given.values()):
            return self._run_arrays({name: np.asarray(array) for name, array in given.items()})
        return self._run_tensors({name: torch.as_tensor(array) for name, array in given.items()})

    def _run_arrays(self, given: Mapping[str, np.ndarray]) -> dict[str, Array]:
        shapes = tuple(given[name].shape for name in self.inputs)
        if shapes not in self._captured:
            self._captured[shapes] = self._capture(dict(zip(self.inputs, shapes, strict=True)))
        captured = self._captured[shapes]
        for name, array in given.items():
            captured.host_inputs[name].copy_(torch.from_numpy(np.ascontiguousarray(array)))
        with torch.cuda.stream(self._stream):
            captured.graph.replay()
        self._stream.synchronize()
        return {name: tensor.numpy().copy() for name, tensor in captured.host_outputs.items()}

    def _capture(self, shapes: Mapping[str, tuple[int, ...]]) -> _Captured:
        """Run once, so that everything is set up, then record copies and run."""
        self._set_shapes(shapes)
        sizes = {tensor.name: tuple(self._context.get_tensor_shape(tensor.name)) for tensor in self._tensors}
        device = {t.name: torch.zeros(sizes[t.name], dtype=t.dtype, device="cuda") for t in self._tensors}
        host = {t.name: torch.zeros(sizes[t.name], dtype=t.dtype, pin_memory=True) for t in self._tensors}
        torch.cuda.current_stream().synchronize()
        self._enqueue(device)
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            for name in self.inputs:
                device[name].copy_(host[name], non_blocking=True)
            self._enqueue(device)
            for name in self.outputs:
                host[name].copy_(device[name], non_blocking=True)
        inputs, outputs = ({name: host[name] for name in names} for names in (self.inputs, self.outputs))
        return _Captured(inputs, outputs, device, graph)

    def _run_tensors(self, given: Mapping[str, Tensor]) -> dict[str, Array]:
        held = {t.name: given[t.name].to("cuda", t.dtype).contiguous() for t in self._tensors if t.is_input}
        self._set_shapes({name: tuple(tensor.shape) for name, tensor in held.items()})
        for tensor in self._tensors:
            if not tensor.is_input:
                shape = tuple(self._context.get_tensor_shape(tensor.name))
                held[tensor.name] = torch.empty(shape, dtype=tensor.dtype, device="cuda")
        callers = torch.cuda.current_stream()
        self._stream.wait_stream(callers)
        self._enqueue(held)
        callers.wait_stream(self._stream)
        for tensor_held in held.values():
            tensor_held.record_stream(self._stream)
        return {name: held[name] for name in self.outputs}

    def _set_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                least, _, greatest = self._engine.get_tensor_profile_shape(name, 0)
                raise UsageError(
                    f"{self.description}: {name} of {shape} is none that it was built for, {tuple(least)} to "
                    f"{tuple(greatest)}"
                )

    def _enqueue(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise TrtdreamError(f"{self.description}: the run failed; a CUDA error stays, so end this process")


def _first_library(engine: Path) -> Library:
    libraries: list[Any] = installed()
    if not libraries:
        raise TrtdreamError(f"{engine.name}: TensorRT is not installed; `trtdream doctor` says how to add it")
    return libraries[0]
