"""Products of two square matrices, by precision: what the ceilings of arithmetic are taken from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from trtdream.bench.precision import PRECISIONS, dtype_of

if TYPE_CHECKING:
    from torch import Tensor

TF32, INT8, FP8 = "tf32", "int8", "fp8"
ON_A_GPU = (TF32, INT8, FP8)
_TF32_SINCE = (8, 0)  # NVIDIA's Ampere; an older GPU would multiply in float32 without a word


def precisions(device: str) -> tuple[str, ...]:
    """Those worth measuring. torch's products of int8 and fp8 are fast on a GPU only; no CPU has TF32."""
    return (*PRECISIONS, *ON_A_GPU) if device.startswith("cuda") else PRECISIONS


def product(precision: str, side: int, device: str) -> Callable[[], Any]:
    """The product of two matrices of side x side, in memory already; run it once before it is timed.

    Raises:
        RuntimeError: the device does not multiply in that precision; fp8's only when it is run.
    """
    import torch

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
