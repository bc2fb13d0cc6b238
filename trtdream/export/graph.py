"""An ONNX graph being written, layer by layer, in one floating type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from trtdream.export.precision import numpy_type
from trtdream.net.net import Layer
from trtdream.net.onnx_form import OnnxValue

_TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}
_REDUCTION_AXES_ARE_INPUT = {"ReduceSum": 13}  # the opset from which an operator takes its axes so; others from 18


class OnnxGraph:
    """Nodes, initialisers and the float32 or narrower form of every value.

    In a graph of a narrower type, inputs and outputs stay float32: such a value carries its blob's name, and its narrow
    form the name `blob/float16`.

    Args:
        outputs: values that leave the graph.
    """

    def __init__(self, float_type: str, opset: int, lrn_as_convolution: bool, outputs: Sequence[str]) -> None:
        self.float_type, self.opset, self.lrn_as_convolution = float_type, opset, lrn_as_convolution
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: dict[str, onnx.TensorProto] = {}
        self._outputs = set(outputs)
        self._narrow: dict[str, str] = {}
        self._wide: dict[str, str] = {}
        self._names: set[str] = set()

    @property
    def is_narrow(self) -> bool:
        return self.float_type != "float32"

    def add_input(self, value: str) -> None:
        """A float32 value given from outside."""
        self._wide[value] = value
        self._narrow[value] = self._cast(value, f"{value}/{self.float_type}") if self.is_narrow else value

    def narrow(self, value: str) -> str:
        """The tensor that holds a value in the graph's type."""
        return self._narrow[value]

    def wide(self, value: str, part: str) -> str:
        """The tensor that holds a value in float32; the node that makes it, if need be, is called `part`."""
        if value not in self._wide:
            if not self.is_narrow:
                return self._narrow[value]
            self.node(part, "Cast", [self._narrow[value]], [part], to=TensorProto.FLOAT)
            self._wide[value] = part
        return self._wide[value]

    def write(self, value: str, wide: bool, name: str, operator: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Add the node that computes a value, and the conversions that its readers need."""
        tensor = self.claim(value, wide)
        self.node(name, operator, inputs, [tensor], **attributes)
        self.settle(value, wide)

    def claim(self, value: str, wide: bool) -> str:
        """The tensor that a value is to be written to."""
        if not self.is_narrow:
            return value
        if value in self._outputs:
            return value if wide else f"{value}/{self.float_type}"
        return f"{value}/float32" if wide else value

    def settle(self, value: str, wide: bool) -> None:
        """Provide a value that has been written in both forms, as far as they are wanted."""
        tensor = self.claim(value, wide)
        if not self.is_narrow:
            self._narrow[value] = tensor
        elif wide:
            self._wide[value] = tensor
            self._narrow[value] = self._cast(tensor, f"{value}/{self.float_type}" if tensor == value else value)
        else:
            self._narrow[value] = tensor
            if value in self._outputs:
                self.node(f"{value}/to_float32", "Cast", [tensor], [value], to=TensorProto.FLOAT)
                self._wide[value] = value

    def node(self, name: str, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Add a node; a name that is taken gets a number."""
        unique, count = name, 1
        while unique in self._names:
            count += 1
            unique = f"{name}/{count}"
        self._names.add(unique)
        self.nodes.append(helper.make_node(operator, list(inputs), list(outputs), name=unique, **attributes))

    def initialiser(self, name: str, values: np.ndarray, wide: bool) -> str:
        """A constant of the graph's type (float32 if wide); integers are kept."""
        if name in self.initialisers:
            return name
        if values.dtype.kind == "f":
            values = self._convert(values, wide)
        self.initialisers[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def element_type(self, wide: bool) -> int:
        """onnx's number of the graph's floating type."""
        return TensorProto.FLOAT if wide else _TYPES[self.float_type]

    def prune(self) -> None:
        """Drop conversions and constants that nothing reads."""
        while True:
            read = {name for node in self.nodes for name in node.input} | self._outputs
            kept = [node for node in self.nodes if node.op_type != "Cast" or read.intersection(node.output)]
            if len(kept) == len(self.nodes):
                break
            self.nodes = kept
        self.initialisers = {name: values for name, values in self.initialisers.items() if name in read}

    def _cast(self, tensor: str, to: str) -> str:
        self.node(to, "Cast", [tensor], [to], to=_TYPES[self.float_type])
        return to

    def _convert(self, values: np.ndarray, wide: bool) -> np.ndarray:
        kind = np.dtype(np.float32) if wide else numpy_type(self.float_type)
        if kind == np.float16:
            limit = np.finfo(np.float16).max  # what is beyond would become infinite
            values = np.where(np.isfinite(values), values.clip(-limit, limit), values)
        return values.astype(kind)


class Place:
    """One layer's place in the graph: trtdream.net.onnx_form.OnnxLayer."""

    def __init__(
        self,
        graph: OnnxGraph,
        layer: Layer,
        bottoms: Sequence[OnnxValue],
        tops: Sequence[OnnxValue],
        weights: Mapping[str, np.ndarray],
        is_wide: bool = False,
    ) -> None:
        self._graph, self._layer, self._weights, self._is_wide = graph, layer, weights, is_wide
        self._values, self.tops = bottoms, tops
        self.lrn_as_convolution = graph.lrn_as_convolution
        self._suffix = "/float32" if is_wide and graph.is_narrow else ""

    @property
    def bottoms(self) -> Sequence[OnnxValue]:
        return [
            OnnxValue(self._tensor(value.name, index), value.shape, value.dynamic)
            for index, value in enumerate(self._values)
        ]

    @property
    def weights(self) -> Sequence[np.ndarray]:
        return list(self._weights.values())

    def weight(self, index: int) -> str:
        name, values = list(self._weights.items())[index]
        return self._graph.initialiser(name + self._suffix, values, self._is_wide)

    def constant(self, part: str, values: np.ndarray | float) -> str:
        array = np.asarray(values, np.float32) if isinstance(values, float) else np.asarray(values)
        if array.dtype.kind in "iu":
            array = array.astype(np.int64)
        return self._graph.initialiser(f"{self._layer.name}/{part}", array, self._is_wide)

    def part(self, part: str, operator: str, *inputs: str, **attributes: Any) -> str:
        return self.parts((part,), operator, *inputs, **attributes)[0]

    def parts(self, parts: Sequence[str], operator: str, *inputs: str, **attributes: Any) -> Sequence[str]:
        names = [f"{self._layer.name}/{part}" for part in parts]
        self._graph.node(names[0], operator, inputs, names, **attributes)
        return names

    def top(self, operator: str, *inputs: str, index: int = 0, **attributes: Any) -> None:
        name = self._layer.name if index == 0 else f"{self._layer.name}/{index}"
        self._graph.write(self.tops[index].name, self._is_wide, name, operator, inputs, **attributes)

    def all_tops(self, operator: str, *inputs: str, **attributes: Any) -> None:
        tensors = [self._graph.claim(top.name, self._is_wide) for top in self.tops]
        self._graph.node(self._layer.name, operator, inputs, tensors, **attributes)
        for top in self.tops:
            self._graph.settle(top.name, self._is_wide)

    def reduce(self, part: str | None, operator: str, x: str, axes: Sequence[int], keep: bool) -> str:
        if self._graph.opset >= _REDUCTION_AXES_ARE_INPUT.get(operator, 18):
            return self._add(part, operator, x, self.constant("axes", np.array(list(axes))), keepdims=int(keep))
        return self._add(part, operator, x, axes=list(axes), keepdims=int(keep))

    def cast(self, part: str | None, x: str) -> str:
        return self._add(part, "Cast", x, to=self._graph.element_type(self._is_wide))

    def wide(self) -> Place:
        return Place(self._graph, self._layer, self._values, self.tops, self._weights, is_wide=True)

    def _add(self, part: str | None, operator: str, *inputs: str, **attributes: Any) -> str:
        if part is not None:
            return self.part(part, operator, *inputs, **attributes)
        self.top(operator, *inputs, **attributes)
        return self.tops[0].name

    def _tensor(self, value: str, index: int) -> str:
        if self._is_wide:
            return self._graph.wide(value, f"{self._layer.name}/bottom_{index}")
        return self._graph.narrow(value)
