"""ONNX models held against the Net they were written from: the checker, and every blob's shape."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from trtdream.errors import VerificationFailed
from trtdream.net.onnx_form import OnnxValue

_PROTOBUF_LIMIT = 2**31 - 1


def check_shapes(model: onnx.ModelProto, values: Mapping[str, OnnxValue]) -> onnx.ModelProto:
    """The model with every tensor's inferred shape in it, after onnx's checker and strict shape inference.

    Args:
        values: what the Net says of its blobs; those that are tensors of the graph are compared.

    Raises:
        VerificationFailed: onnx finds the graph at fault, or another shape than the Net's.
    """
    try:
        if model.ByteSize() < _PROTOBUF_LIMIT:
            onnx.checker.check_model(model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise VerificationFailed(f"{model.graph.name}: onnx's checker refuses the graph: {_one_line(error)}") from error
    shapes = inferred_shapes(inferred)
    computed = {name for node in model.graph.node for name in node.output}
    for name, value in values.items():
        if name not in computed:
            continue
        if name not in shapes:
            raise VerificationFailed(f"{model.graph.name}: onnx infers no shape for {name!r}")
        wanted = tuple(None if axis in value.dynamic else size for axis, size in enumerate(value.shape))
        found = tuple(None if axis in value.dynamic else size for axis, size in enumerate(shapes[name]))
        if found != wanted:
            raise VerificationFailed(
                f"{model.graph.name}: onnx infers {shapes[name]} for {name!r}, the network has {value.shape}"
            )
    return inferred


def inferred_shapes(model: onnx.ModelProto) -> dict[str, tuple[int | str | None, ...]]:
    """The shapes that stand in a model: numbers, names of dynamic axes, None for the unknown."""
    found: dict[str, tuple[int | str | None, ...]] = {}
    for info in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        if info.type.tensor_type.HasField("shape"):
            dims = info.type.tensor_type.shape.dim
            found[info.name] = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in dims)
    return found


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """onnx's type number of every tensor whose type stands in the model, initialisers included."""
    infos = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    found = {info.name: info.type.tensor_type.elem_type for info in infos}
    return found | {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
