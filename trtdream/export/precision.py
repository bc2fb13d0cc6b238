"""The precisions a network can be exported in. Precision is in the graph: its own types, and explicit Q/DQ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class Precision(StrEnum):
    """What the layers compute in; the value is the command line's flag and part of an engine's name."""

    FP32 = "fp32"
    TF32 = "tf32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"
    FP8 = "fp8"


@dataclass(frozen=True)
class Form:
    """How a precision is written.

    float_type: the type of weights and blobs. quantised: the type that Q/DQ lead through, if any.
    opset: the least that has the operators for it. oldest_tensorrt: the first TensorRT that can build it.
    lrn_as_convolution: whether LRN is a banded 1 x 1 convolution; the operator is float32 only in TensorRT, and slower
    on CPUs (GoogLeNet on two cores: 31.5 ms with it, 20.3 ms with the convolution).
    least_agreement: how many of the verified images, in parts, must keep their top-1 class.
    least_cosine: what the logits' cosine to float32's must reach on every image.
    """

    float_type: str
    quantised: str | None
    opset: int
    oldest_tensorrt: int
    lrn_as_convolution: bool
    least_agreement: float
    least_cosine: float


FORMS = {
    Precision.FP32: Form("float32", None, 17, 8, False, 1.0, 0.99999),
    Precision.TF32: Form("float32", None, 17, 8, True, 0.99, 0.9999),
    Precision.FP16: Form("float16", None, 17, 8, True, 0.99, 0.9999),
    Precision.BF16: Form("bfloat16", None, 22, 10, True, 0.97, 0.999),
    Precision.INT8: Form("float32", "int8", 17, 8, True, 0.9, 0.97),
    Precision.FP8: Form("float32", "float8e4m3fn", 19, 10, True, 0.9, 0.97),
}


def numpy_type(float_type: str) -> np.dtype:
    """numpy's type of that name; bfloat16 comes from ml_dtypes, which onnx depends on."""
    if float_type == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(float_type)
