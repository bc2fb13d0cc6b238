"""Networks with random weights as ONNX graphs: what other backends than torch are measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trtdream.errors import InputRefused, UsageError
from trtdream.export.calibrate import ranges
from trtdream.export.onnx_net import GraphOptions, onnx_from_model
from trtdream.export.precision import FORMS, Precision
from trtdream.export.quantise import quantisable, quantise
from trtdream.export.sizes import Batch
from trtdream.net.net import Net
from trtdream.net.shapes import infer_shapes
from trtdream.runtime.model import Model
from trtdream.weights.weights import Weights

if TYPE_CHECKING:
    import onnx

    from trtdream.net.kind import Shape

NAMES = {  # bench's names, which are torch's types, and those of exports
    "float32": Precision.FP32,
    "tf32": Precision.TF32,
    "float16": Precision.FP16,
    "bfloat16": Precision.BF16,
    "int8": Precision.INT8,
    "fp8": Precision.FP8,
}
LIMITS_NAMES = {precision: name for name, precision in NAMES.items()}
"""What the ceilings call an export's precision."""

_CALIBRATED_ON = 8


def precision_of(name: str) -> Precision:
    """The export's precision of that name.

    Raises:
        UsageError: it is none of NAMES.
    """
    if name not in NAMES:
        raise UsageError(f"--precision {name}: is none of {', '.join(NAMES)}")
    return NAMES[name]


def random_model(net: Net) -> Model:
    """The network with what its fillers make, the same each time."""
    import torch

    from trtdream.net.torch_module import TorchNet

    generator = torch.Generator().manual_seed(0)
    return Model(net, Weights(TorchNet(net, generator=generator).arrays(), "random", "0" * 64), None)


def number_bytes(precision: Precision) -> int:
    """Of a blob's number in that precision."""
    return 1 if FORMS[precision].quantised else 4 if FORMS[precision].float_type == "float32" else 2


def input_shape(model: Model, batch: int | None) -> Shape:
    """Of the network's one input; its own batch if None.

    Raises:
        InputRefused: it has several.
    """
    if len(model.graph.inputs) != 1:
        raise InputRefused(f"{model.net.name}: has {len(model.graph.inputs)} inputs; only torch is measured on such")
    shape = infer_shapes(model.graph, None, model.graph.inputs)[0].tops[0]
    return (batch or shape[0], *shape[1:])


def noise(shape: Shape) -> np.ndarray:
    """A batch of that shape, float32, about as large as pictures less their mean."""
    return (50 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


def graph_of(model: Model, precision: Precision, batch: int) -> onnx.ModelProto:
    """The graph for that batch, LRN as a convolution; int8 with ranges of noise, which its speed does not depend on."""
    options = GraphOptions.for_precision(precision, Batch(batch, batch, batch), lrn_as_convolution=True)
    made = onnx_from_model(model, options)
    kind = FORMS[precision].quantised
    if kind is None:
        return made
    layers = quantisable(made)
    return quantise(made, kind, ranges(made, layers, noise(input_shape(model, min(batch, _CALIBRATED_ON)))), layers)
