"""Explicit quantisation: Q/DQ pairs laid into a float32 graph, as TensorRT and ONNX Runtime both read them.

`onnxruntime.quantization` puts a second pair between a convolution and its ReLU, which costs a kernel each in both;
here a blob is quantised once, behind its ReLU, with one scale for all that a Concat or a MaxPool ties together.
Weights have a scale for each output channel; biases stay float, since TensorRT's parser takes no others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_WEIGHTED = {"Conv": 0, "Gemm": 0}  # the weight's axis of output channels
_PASSING = ("MaxPool", "Concat", "Identity")  # what works on quantised numbers as it does on others


@dataclass(frozen=True)
class _Type:
    """A type to quantise to: its greatest number, and onnx's number of it."""

    greatest: float
    element: int

    def round(self, values: np.ndarray) -> np.ndarray:
        kind = helper.tensor_dtype_to_np_dtype(self.element)
        clipped = values.clip(-self.greatest, self.greatest)
        return (np.rint(clipped) if self.element == TensorProto.INT8 else clipped).astype(kind)


_TYPES = {"int8": _Type(127.0, TensorProto.INT8), "float8e4m3fn": _Type(448.0, TensorProto.FLOAT8E4M3FN)}


def quantisable(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that can compute quantised: layers with constant weights, not the parts of other layers."""
    constants = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in _WEIGHTED and constants.get(node.input[1], 0) >= 2 and "." in node.input[1]
        if node.op_type == "Conv" or _attribute(node, "transB") == 1
    ]


def calibrated_tensors(model: onnx.ModelProto, layers: Collection[str]) -> list[str]:
    """The tensors that are quantised if those layers are: whose ranges must be known."""
    return sorted(_groups(model, layers))


def quantise(
    model: onnx.ModelProto, kind: str, ranges: Mapping[str, float], layers: Collection[str]
) -> onnx.ModelProto:
    """Lay Q/DQ pairs around layers.

    Args:
        kind: `int8` or `float8e4m3fn`.
        ranges: the greatest magnitude of every tensor of `calibrated_tensors`.
        layers: nodes that are to compute quantised.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph, target = made.graph, _TYPES[kind]
    groups = _groups(model, layers)
    greatest: dict[str, float] = {}
    for tensor, group in groups.items():
        greatest[group] = max(greatest.get(group, 0.0), ranges[tensor])
    scales = {tensor: max(greatest[group], 1e-12) / target.greatest for tensor, group in groups.items()}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for tensor in (info.name for info in graph.input):
        nodes += _pair(graph, tensor, scales, target)
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in scales:
                node.input[index] = f"{name}/dequantised"
        if node.name in layers:
            nodes.append(_dequantised_weight(graph, node, weights[node.input[1]], target))
        nodes.append(node)
        for tensor in node.output:
            nodes += _pair(graph, tensor, scales, target)
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unread(graph)
    return made


def with_float_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which int8 weights are float, with the Q/DQ pair that makes the same int8 of them."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in made.graph.initializer}
    nodes = []
    for node in made.graph.node:
        tensor = constants.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if tensor is not None and tensor.data_type == TensorProto.INT8:
            steps, scales = numpy_helper.to_array(tensor), numpy_helper.to_array(constants[node.input[1]])
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            others = tuple(i for i in range(steps.ndim) if i != axis) if scales.ndim else ()
            values, quantised = f"{tensor.name}/values", f"{node.name}/quantised"
            made.graph.initializer.append(
                numpy_helper.from_array(steps * np.expand_dims(scales, others).astype(np.float32), values)
            )
            again = [values, *node.input[1:]]
            nodes.append(helper.make_node("QuantizeLinear", again, [quantised], name=quantised, axis=axis))
            node.input[0] = quantised
        nodes.append(node)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    _drop_unread(made.graph)
    return made


def _drop_unread(graph: onnx.GraphProto) -> None:
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _groups(model: onnx.ModelProto, layers: Collection[str]) -> dict[str, str]:
    """Tensors to quantise, each with the name of its group, which shares one scale."""
    chosen, ties = _chosen(model, layers)
    leader = {tensor: tensor for tensor in chosen}

    def find(tensor: str) -> str:
        while leader[tensor] != tensor:
            tensor = leader[tensor]
        return tensor

    for tied in ties:
        first, *others = [tensor for tensor in tied if tensor in chosen]
        for other in others:
            leader[find(other)] = find(first)
    return {tensor: find(tensor) for tensor in chosen}


def _chosen(model: onnx.ModelProto, layers: Collection[str]) -> tuple[set[str], list[list[str]]]:
    """Tensors to quantise, and those that must share a scale.

    They are what a quantised layer reads and what it writes (behind its ReLU), and what MaxPool and Concat make of
    such tensors alone, save what leaves the graph and what only a float layer would make of them.
    """
    readers = Counter(name for node in model.graph.node for name in node.input)
    only_reader = {name: node for node in model.graph.node for name in node.input if readers[name] == 1}
    leaving = {info.name for info in model.graph.output}
    final = {node.name: node for node in model.graph.node if node.op_type == "Gemm"}
    chosen: set[str] = set()
    ties: list[list[str]] = []
    for node in model.graph.node:
        if node.name in layers:
            chosen.add(node.input[0])
            (top,) = node.output
            after = only_reader.get(top)
            if after is not None and after.op_type == "Relu":
                (top,) = after.output
            if top not in leaving and node.name not in final:
                chosen.add(top)
        elif node.op_type in _PASSING and all(name in chosen for name in node.input):
            tied = [*node.input, node.output[0]]
            if not leaving.intersection(tied):
                ties.append(tied)
                chosen.add(node.output[0])
    return chosen - leaving, [tied for tied in ties if not leaving.intersection(tied)]


def _pair(graph: onnx.GraphProto, tensor: str, scales: Mapping[str, float], target: _Type) -> list[onnx.NodeProto]:
    if tensor not in scales:
        return []
    scale, zero = f"{tensor}/quantised_scale", f"{tensor}/quantised_zero"
    graph.initializer.append(numpy_helper.from_array(np.array(scales[tensor], np.float32), scale))
    graph.initializer.append(_zeros(zero, (), target))
    quantised, back = f"{tensor}/quantised", f"{tensor}/dequantised"
    return [
        helper.make_node("QuantizeLinear", [tensor, scale, zero], [quantised], name=quantised),
        helper.make_node("DequantizeLinear", [quantised, scale, zero], [back], name=back),
    ]


def _dequantised_weight(
    graph: onnx.GraphProto, node: onnx.NodeProto, weight: onnx.TensorProto, target: _Type
) -> onnx.NodeProto:
    """Replace a node's float weight by a quantised one behind a DequantizeLinear, a scale for each channel."""
    values = numpy_helper.to_array(weight)
    axis = _WEIGHTED[node.op_type]
    others = tuple(i for i in range(values.ndim) if i != axis)
    scales = (np.abs(values).max(others).clip(1e-12) / target.greatest).astype(np.float32)
    rounded = target.round(values / np.expand_dims(scales, others))
    names = [f"{weight.name}/quantised", f"{weight.name}/quantised_scale", f"{weight.name}/quantised_zero"]
    if names[0] not in {tensor.name for tensor in graph.initializer}:
        graph.initializer.append(numpy_helper.from_array(rounded, names[0]))
        graph.initializer.append(numpy_helper.from_array(scales, names[1]))
        graph.initializer.append(_zeros(names[2], scales.shape, target))
    back = f"{node.name}/weight"
    node.input[1] = back
    return helper.make_node("DequantizeLinear", names, [back], name=back, axis=axis)


def _zeros(name: str, shape: tuple[int, ...], target: _Type) -> onnx.TensorProto:
    return numpy_helper.from_array(np.zeros(shape, helper.tensor_dtype_to_np_dtype(target.element)), name)


def _attribute(node: onnx.NodeProto, name: str) -> object:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), None)
