"""An ONNX graph written from the Net: nodes named after their layers, tensors after their blobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from trtdream.errors import InputRefused, UsageError
from trtdream.export.check import check_shapes
from trtdream.export.front import IMAGES, write_front
from trtdream.export.graph import OnnxGraph, Place
from trtdream.export.precision import FORMS, Precision
from trtdream.export.sizes import Batch
from trtdream.net.graph import Graph
from trtdream.net.kind import Shape
from trtdream.net.kinds.probability import Accuracy
from trtdream.net.onnx_form import OnnxValue
from trtdream.net.shapes import LayerShapes, infer_shapes
from trtdream.runtime.model import Model
from trtdream.runtime.preprocess import CHANNELS

_OTHER_SIZE = 64  # by how much height and width are moved to see what depends on them


@dataclass(frozen=True)
class GraphOptions:
    """How the graph is to be written.

    float_type, opset: see `trtdream.export.precision.Form`. until: blobs to end at; none for the net's own outputs.
    dynamic_size: leave the input's height and width open. lrn_as_convolution: see Form. front: take uint8 pictures
    N x H x W x 3 RGB and do channel order, mean and layout in the graph.
    """

    batch: Batch
    float_type: str = "float32"
    opset: int = 17
    until: tuple[str, ...] = ()
    dynamic_size: bool = False
    lrn_as_convolution: bool = False
    front: bool = False

    @classmethod
    def for_precision(
        cls,
        precision: Precision,
        batch: Batch,
        until: Sequence[str] = (),
        dynamic_size: bool = False,
        lrn_as_convolution: bool | None = None,
        front: bool = False,
    ) -> GraphOptions:
        """Those of a precision, unless told otherwise."""
        form = FORMS[precision]
        banded = form.lrn_as_convolution if lrn_as_convolution is None else lrn_as_convolution
        return cls(batch, form.float_type, form.opset, tuple(until), dynamic_size, banded, front)


def onnx_from_model(model: Model, options: GraphOptions) -> onnx.ModelProto:
    """The network of the TEST phase as an ONNX model, checked, with every blob's shape in it.

    Raises:
        UsageError: a blob in `until` that does not exist, a size that the net does not tell.
        InputRefused: a layer that has no ONNX form, weights that do not fit, a size that must be fixed.
    """
    graph = model.graph
    outputs, scores = _outputs(model, options.until)
    layers, values = _shapes(model, options, outputs)
    softmax = _free_name("prob", graph) if scores else None
    written = OnnxGraph(
        options.float_type, options.opset, options.lrn_as_convolution, [softmax] if softmax else outputs
    )
    inputs = _write_inputs(model, options, written, layers, values)
    names: dict[str, str] = {}
    for layer in layers:
        if not layer.step.layer.kind.is_input:
            _write_layer(graph, written, layer, values, _weights_of(model, layer, names))
    if softmax:
        (logits,) = outputs
        written.write(softmax, True, softmax, "Softmax", [written.wide(logits, f"{softmax}/scores")], axis=1)
        values[softmax] = OnnxValue(softmax, values[logits].shape, values[logits].dynamic)
        outputs = [softmax]
    written.prune()
    described = [_describe(values[name], TensorProto.FLOAT) for name in outputs]
    constants = list(written.initialisers.values())
    proto = helper.make_graph(written.nodes, graph.net.name or "net", inputs, described, constants)
    opset = helper.make_opsetid("", options.opset)
    made = helper.make_model(proto, opset_imports=[opset], producer_name="trtdream")
    made.ir_version = helper.find_min_ir_version_for([opset])  # so that old readers take the file
    return check_shapes(made, values)


def _outputs(model: Model, until: Sequence[str]) -> tuple[list[str], bool]:
    """The values the graph ends at, and whether they are scores that a softmax is to follow."""
    graph = model.graph
    if until:
        return [name if name in graph.values else graph.at_layer(name) for name in until], False
    useful = [name for name in graph.outputs if not _is_measure(graph, name)]
    if useful:
        return useful, False
    value, scores = model.probabilities()
    return [value], scores


def _is_measure(graph: Graph, value: str) -> bool:
    layer = graph.values[value].layer
    return layer.kind.is_loss or layer.kind.is_input or isinstance(layer.kind, Accuracy)


def _free_name(wanted: str, graph: Graph) -> str:
    while wanted in graph.values or wanted in graph.layers:
        wanted += "_"
    return wanted


def _shapes(
    model: Model, options: GraphOptions, outputs: Sequence[str]
) -> tuple[tuple[LayerShapes, ...], dict[str, OnnxValue]]:
    """Shapes at the usual batch, and for each value the axes that change when batch or size do."""
    graph = model.graph
    given = _input_shapes(model, outputs)
    base = {name: (options.batch.usual, *shape[1:]) for name, shape in given.items()}
    layers = infer_shapes(graph, base, outputs)
    moving: dict[str, set[int]] = {}
    for other in _others(options, base):
        try:
            moved = infer_shapes(graph, other, outputs)
        except InputRefused as error:
            what = "--batch N" if options.batch.dynamic else "a fixed size"
            raise InputRefused(f"{error}; this network needs {what}, not a dynamic one") from error
        for one, two in zip(layers, moved, strict=True):
            for name, a, b in zip(one.step.writes, one.tops, two.tops, strict=True):
                moving.setdefault(name, set()).update(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)
    shapes = {name: top for layer in layers for name, top in zip(layer.step.writes, layer.tops, strict=True)}
    values = {name: OnnxValue(name, shape, frozenset(moving.get(name, ()))) for name, shape in shapes.items()}
    return layers, values


def _input_shapes(model: Model, outputs: Sequence[str]) -> dict[str, Shape]:
    """Every input's shape: the net's own, or for pictures what its preprocessing says."""
    spec = model.preprocess
    first = model.graph.inputs[0]
    known = {} if spec is None else {first: (1, CHANNELS[spec.channels], *spec.size)}
    try:
        layers = infer_shapes(model.graph, None, outputs)
    except UsageError:
        layers = infer_shapes(model.graph, known, outputs)
    read = {name for layer in layers for name in layer.step.reads}
    return {
        name: top
        for layer in layers
        if layer.step.layer.kind.is_input
        for name, top in zip(layer.step.writes, layer.tops, strict=True)
        if name in read
    }


def _others(options: GraphOptions, base: Mapping[str, Shape]) -> list[dict[str, Shape]]:
    """Inputs of another batch, height or width, one at a time, for each that is to be dynamic."""
    moves = [(0, 1)] if options.batch.dynamic else []
    if options.dynamic_size:
        moves += [(2, _OTHER_SIZE), (3, _OTHER_SIZE)]
    return [
        {
            name: tuple(size + step * (i == axis and (axis == 0 or len(shape) == 4)) for i, size in enumerate(shape))
            for name, shape in base.items()
        }
        for axis, step in moves
    ]


def _write_inputs(
    model: Model,
    options: GraphOptions,
    written: OnnxGraph,
    layers: Sequence[LayerShapes],
    values: dict[str, OnnxValue],
) -> list[onnx.ValueInfoProto]:
    read = {name for layer in layers for name in layer.step.reads}
    inputs = []
    for name in (name for name in model.graph.inputs if name in read):
        if options.front and name == model.graph.inputs[0]:
            pictures = write_front(written, values[name], model.pictures)
            values[IMAGES] = pictures
            inputs.append(_describe(pictures, TensorProto.UINT8))
        else:
            inputs.append(_describe(values[name], TensorProto.FLOAT))
        written.add_input(name)
    return inputs


def _write_layer(
    graph: Graph,
    written: OnnxGraph,
    shapes: LayerShapes,
    values: Mapping[str, OnnxValue],
    weights: Mapping[str, np.ndarray],
) -> None:
    step = shapes.step
    bottoms, tops = ([values[name] for name in names] for names in (step.reads, step.writes))
    try:
        step.layer.kind.to_onnx(Place(written, step.layer, bottoms, tops, weights))
    except ValueError as error:
        raise InputRefused(f"{graph.net.name}: {step.layer}: {error}") from error


def _weights_of(model: Model, shapes: LayerShapes, names: dict[str, str]) -> dict[str, np.ndarray]:
    """A layer's weights in the shapes it needs, by the initialiser's name; shared ones have their owner's name."""
    layer, origin = shapes.step.layer, model.weights.origin
    if not shapes.weights:
        return {}
    arrays = model.weights.layers.get(layer.name)
    if arrays is None:
        raise InputRefused(f"{origin}: has no weights for {layer}; it does not fit {model.net.name}")
    sizes = [weight.shape for weight in shapes.weights]
    if [array.size for array in arrays] != [int(np.prod(shape)) for shape in sizes]:
        raise InputRefused(f"{origin}: weights of {[a.shape for a in arrays]} do not fit {layer}, which wants {sizes}")
    found = {}
    for index, (array, shape) in enumerate(zip(arrays, sizes, strict=True)):
        if not np.isfinite(array).all():
            raise InputRefused(f"{origin}: weight {index} of {layer} holds numbers that are not finite")
        own, shared = f"{layer.name}.{index}", layer.param(index).name
        found[names.setdefault(shared, own) if shared else own] = array.reshape(shape)
    return found


def _describe(value: OnnxValue, element: int) -> onnx.ValueInfoProto:
    symbols = {0: "N"} if len(value.shape) != 4 else {0: "N", 2: "H", 3: "W"}
    open_to = "NWC" if value.name == IMAGES else ""
    if open_to:
        symbols = {0: "N", 1: "H", 2: "W"}
    shape = [
        symbols.get(axis, f"{value.name}:{axis}") if axis in value.dynamic else size
        for axis, size in enumerate(value.shape)
    ]
    return helper.make_tensor_value_info(value.name, element, shape)
