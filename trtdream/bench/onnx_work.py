"""What an exported file has to do at least: its convolutions and products of matrices, which no backend leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path

import onnx

from trtdream.bench.graphs import LIMITS_NAMES, number_bytes
from trtdream.bench.limits import Bound, Limits, bound_of_all
from trtdream.bench.work import Work
from trtdream.errors import TrtdreamError
from trtdream.export.precision import Precision
from trtdream.net.kind import Shape
from trtdream.runtime.manifest import check_onnx, manifest_path, read_manifest
from trtdream.runtime.onnx_file import read_onnx

_FLOAT_TYPES = {onnx.TensorProto.FLOAT16: Precision.FP16, onnx.TensorProto.BFLOAT16: Precision.BF16}


class FileWork:
    """The work of one run of an .onnx, or of the .onnx that an .engine came from and that lies beside it.

    Attributes:
        precision: of the file's manifest; without one, of its weights.
        works: of its convolutions and products, LRN's as a convolution among them.

    Raises:
        TrtdreamError: the .onnx is missing or another one.
    """

    def __init__(self, file: Path, batch: int) -> None:
        manifest = read_manifest(file) if manifest_path(file).is_file() else None
        source = file
        if file.suffix == ".engine" and manifest is not None:
            source = file.with_name(manifest.onnx)
            check_onnx(source, manifest)
        graph = _inferred(source, batch)
        self.precision = Precision(manifest.precision) if manifest else _precision(graph)
        self.works = works_of(graph, number_bytes(self.precision))

    def bound(self, milliseconds: float, limits: Limits) -> Bound | None:
        """Hold a run's time against the machine's ceilings; None without such work, or without a ceiling."""
        name = LIMITS_NAMES[self.precision]
        known = self.works and name in limits.flops_per_s
        return bound_of_all(milliseconds, self.works, name, limits) if known else None


def works_of(graph: onnx.GraphProto, number_bytes: int) -> list[Work]:
    """A graph's convolutions and products of matrices, whose shapes stand in its value_info."""
    shapes = _shapes(graph)
    works = []
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or any(name not in shapes for name in _operands(node)):
            continue
        (a, b), out = (shapes[name] for name in node.input[:2]), shapes[node.output[0]]
        summed = prod(b[1:]) if node.op_type == "Conv" else a[0] if _attribute(node, "transA") else a[-1]
        works.append(Work(2 * prod(out) * summed, (prod(a) + prod(b) + prod(out)) * number_bytes))
    return works


def _inferred(file: Path, batch: int) -> onnx.GraphProto:
    """Its shapes are inferred for that batch."""
    model = read_onnx(file)
    del model.graph.value_info[:]
    for value in [*model.graph.input, *model.graph.output]:
        axes = value.type.tensor_type.shape.dim
        if axes and not axes[0].dim_value:
            axes[0].dim_value = batch
    try:
        return onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, ValueError) as error:  # ValueError: more than 2 GB
        raise TrtdreamError(f"{file}: its shapes cannot be inferred: {' '.join(str(error).split())[:200]}") from error


def _shapes(graph: onnx.GraphProto) -> Mapping[str, Shape]:
    """Those that are known to the last axis."""
    found: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        axes = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        if axes and all(axes):
            found[value.name] = tuple(axes)
    return found


def _operands(node: onnx.NodeProto) -> list[str]:
    return [*node.input[:2], node.output[0]]


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), 0)


def _precision(graph: onnx.GraphProto) -> Precision:
    if any(node.op_type == "DequantizeLinear" for node in graph.node):
        return Precision.INT8
    types = [tensor.data_type for tensor in graph.initializer if prod(tensor.dims) > 1]
    return next((_FLOAT_TYPES[kind] for kind in types if kind in _FLOAT_TYPES), Precision.FP32)
