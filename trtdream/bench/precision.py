"""The floating types that a measurement can run in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trtdream.errors import UsageError

if TYPE_CHECKING:
    import torch

PRECISIONS = ("float32", "bfloat16", "float16")


def dtype_of(precision: str) -> torch.dtype:
    """torch's type of that name.

    Raises:
        UsageError: it is none of PRECISIONS.
    """
    import torch

    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: is none of {', '.join(PRECISIONS)}")
    dtype: torch.dtype = getattr(torch, precision)
    return dtype
