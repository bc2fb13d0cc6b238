"""Products of two square matrices, by precision, and a convolution: what the ceilings of arithmetic are taken from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from trtdream.bench.precision import PRECISIONS, dtype_of

if TYPE_CHECKING:
    from torch import Tensor

TF32, INT8, FP8 = "tf32", "int8", "fp8"
EXTRA = (TF32, INT8, FP8)
"""Those that not every device has."""

_CHANNELS, _SIDE = 192, 56  # as GoogLeNet's largest layer
_TF32_SINCE = (8, 0)  # NVIDIA's Ampere; an older GPU would multiply in float32 without a word


def precisions(device: str) -> tuple[str, ...]:
    """Those worth measuring. No CPU has TF32, or a fast product of fp8."""
    return (*PRECISIONS, *EXTRA) if device.startswith("cuda") else (*PRECISIONS, INT8)


def product(precision: str, side: int, device: str) -> Callable[[], Any]:
    """The product of two matrices of side x side, in memory already; run it once before it is timed.

    Raises:
        RuntimeError: the device does not multiply in that precision; fp8's only when it is run.
    """
    import torch

    if precision == INT8 and device == "cpu":
        return _in_onnxruntime(side)
    if precision == INT8:
        a = torch.ones((side, side), dtype=torch.int8, device=device)
        return partial(torch._int_mm, a, a.t(), out=_empty(a, torch.int32))  # torch has no public one
    if precision == FP8:
        a = torch.full((side, side), 0.5, device=device).to(torch.float8_e4m3fn)
        one, out = torch.ones((), device=device), _empty(a, torch.bfloat16)
        return partial(
            torch._scaled_mm, a, a.t(), one, one, out_dtype=torch.bfloat16, use_fast_accum=True, out=out
        )  # cuBLASLt wants the second by columns
    if precision == TF32:
        if torch.cuda.get_device_capability(device) < _TF32_SINCE:
            raise RuntimeError("a GPU before Ampere (compute capability 8.0) has no TF32")
        a = torch.full((side, side), 0.5, device=device)
        return partial(_in_tf32, partial(torch.mm, a, a, out=_empty(a, a.dtype)))
    a = torch.full((side, side), 0.5, dtype=dtype_of(precision), device=device)
    return partial(torch.mm, a, a, out=_empty(a, a.dtype))


def convolution() -> tuple[Callable[[], Any], int]:
    """A float32 convolution on the CPU, and its operations: on some (AVX2) a tenth faster than the product."""
    import torch

    x, weight = (
        torch.full(shape, 0.5).contiguous(memory_format=torch.channels_last)
        for shape in ((1, _CHANNELS, _SIDE, _SIDE), (_CHANNELS, _CHANNELS, 3, 3))
    )
    return partial(torch.nn.functional.conv2d, x, weight, padding=1), 2 * 9 * (_CHANNELS * _SIDE) ** 2


def _in_onnxruntime(side: int) -> Callable[[], Any]:
    """Bytes times signed bytes, as its int8 layers do; torch's own product of int8 is slow on a CPU."""
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    a, b = np.ones((side, side), np.uint8), numpy_helper.from_array(np.ones((side, side), np.int8), "b")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, (side, side))],
        [helper.make_tensor_value_info("c", TensorProto.INT32, (side, side))],
        [b],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": a})[0]


def _empty(like: Tensor, dtype: Any) -> Tensor:
    import torch

    return torch.empty_like(like, dtype=dtype)


def _in_tf32(multiply: Callable[[], Any]) -> None:
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        multiply()
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
