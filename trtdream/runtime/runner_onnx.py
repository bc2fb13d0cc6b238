"""The Runner of ONNX Runtime, on the CPU or a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.runtime.runner import Closing, by_name

if TYPE_CHECKING:
    import onnx

    from trtdream.runtime.runner import Array, Batch

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxRunner(Closing):
    """An ONNX model in ONNX Runtime.

    Args:
        model: a file, or a model in memory.
        device: "cpu", "cuda" or "cuda:N". ONNX Runtime falls back to the CPU in silence; here that is an error.
        threads: how many the CPU provider uses; 0 leaves it to ONNX Runtime (one a core).
        profile: what the name of the profiler's file begins with; None for no profiler. See `end_profiling`.

    Raises:
        InputRefused: ONNX Runtime does not take the model.
        TrtdreamError: a CUDA device was asked for and is not there.
    """

    def __init__(
        self, model: Path | onnx.ModelProto, device: str = "cpu", threads: int = 0, profile: Path | None = None
    ) -> None:
        import onnxruntime

        self._runtime = onnxruntime
        self._device = device
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(profile)
        content = for_cpu(model, options) if device == "cpu" else _content(model)
        providers: list[Any] = [_CPU]
        if device != "cpu":
            import torch  # noqa: F401  brings the CUDA libraries that ONNX Runtime looks for

            about = {"device_id": int(device.partition(":")[2] or 0), "use_tf32": 0}  # float32 is float32
            providers = [(_CUDA, about), _CPU]
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=providers)
        except Exception as error:  # onnxruntime's own classes share no base but this
            where = model if isinstance(model, Path) else model.graph.name
            raise InputRefused(
                f"{where}: ONNX Runtime refuses the model: {' '.join(str(error).split())[:300]}"
            ) from error
        if device != "cpu" and _CUDA not in self._session.get_providers():
            raise TrtdreamError("ONNX Runtime has no working CUDA provider here; `trtdream doctor` says why")
        self.inputs: Sequence[str] = tuple(value.name for value in self._session.get_inputs())
        self.outputs: Sequence[str] = tuple(value.name for value in self._session.get_outputs())

    @property
    def description(self) -> str:
        where = "the CPU" if self._device == "cpu" else "CUDA"
        return f"ONNX Runtime {self._runtime.__version__} on {where}"

    def end_profiling(self) -> Path:
        """The file of the profile, JSON in Chrome's trace form."""
        return Path(self._session.end_profiling())

    def __call__(self, batch: Batch) -> dict[str, Array]:
        given = by_name(batch, self.inputs)
        arrays = all(isinstance(array, np.ndarray) for array in given.values())
        try:
            if arrays:
                return dict(zip(self.outputs, self._session.run(self.outputs, given), strict=True))
            return self._run_tensors(given)
        except Exception as error:  # onnxruntime's own classes share no base but this
            shapes = ", ".join(f"{name} of {tuple(array.shape)} {array.dtype}" for name, array in given.items())
            why = " ".join(str(error).split())[:300]
            raise UsageError(f"{self.description}: does not run with {shapes}: {why}") from error

    def _run_tensors(self, given: dict[str, Any]) -> dict[str, Array]:
        """Torch tensors where they lie, and outputs as tensors that share ONNX Runtime's memory."""
        import torch

        binding = self._session.io_binding()
        held = {name: torch.as_tensor(tensor).contiguous() for name, tensor in given.items()}
        for name, tensor in held.items():
            kind = str(tensor.dtype).removeprefix("torch.")
            place = tensor.device.type, tensor.device.index or 0
            binding.bind_input(name, *place, np.dtype(kind), tuple(tensor.shape), tensor.data_ptr())
        device = next(iter(held.values())).device
        for name in self.outputs:
            binding.bind_output(name, device.type, device.index or 0)
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()  # ONNX Runtime works in a stream of its own
        self._session.run_with_iobinding(binding)
        return {
            name: torch.from_dlpack(value._ortvalue.to_dlpack())
            for name, value in zip(self.outputs, binding.get_outputs(), strict=True)
        }


def for_cpu(model: Path | onnx.ModelProto, options: Any) -> str | bytes:
    """What an InferenceSession takes of the model, and in `options`: a quantised one as the CPU's kernels like it.

    They have fast forms of int8 convolutions only for blobs of uint8, and of float8 none at all. On CPUs without VNNI
    the fast forms cut off sums beyond 16 bits, unless they are told not to.
    """
    import onnx

    from trtdream.runtime.onnx_file import read_onnx
    from trtdream.runtime.onnx_unsigned import unsigned_where_positive

    loaded = read_onnx(model) if isinstance(model, Path) else model
    types = {tensor.data_type for tensor in loaded.graph.initializer}
    if onnx.TensorProto.FLOAT8E4M3FN in types:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    elif onnx.TensorProto.INT8 in types:
        options.add_session_config_entry("session.x64quantprecision", "1")
        return _content(unsigned_where_positive(onnx.load(model) if isinstance(model, Path) else model))
    return _content(model)


def _content(model: Path | onnx.ModelProto) -> str | bytes:
    return str(model) if isinstance(model, Path) else model.SerializeToString()
