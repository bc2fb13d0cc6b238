"""Preprocessing inside the graph, so that a server sends bytes: uint8 pictures in, the network's blob out."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from trtdream.errors import UsageError
from trtdream.export.graph import OnnxGraph
from trtdream.net.onnx_form import OnnxValue
from trtdream.runtime.preprocess import Preprocess

IMAGES = "images"
"""The input's name in such a graph: uint8, N x H x W x 3, RGB, of the network's input size."""

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as trtdream.runtime.preprocess makes grey


def write_front(graph: OnnxGraph, data: OnnxValue, spec: Preprocess) -> OnnxValue:
    """Add the nodes that make `data` of pictures that have been squashed and cropped already.

    Returns:
        The input's name and shape.

    Raises:
        UsageError: a mean image goes with one size only.
    """
    if spec.mean.ndim == 3 and data.dynamic - {0}:
        raise UsageError("--preprocess with a mean image needs a fixed input size: leave --dynamic-size out")
    _node(graph, "float", "Cast", IMAGES, to=TensorProto.FLOAT)
    _node(graph, "planes", "Transpose", "preprocess/float", perm=[0, 3, 1, 2])  # N x 3 x H x W
    _node(graph, "ordered", *_ordering(graph, spec))
    mean = centre(spec)[None] if spec.mean.ndim == 3 else spec.mean[None, :, None, None]
    plain = spec.scale == 1
    subtracted = data.name if plain else "preprocess/subtracted"
    operands = ["preprocess/ordered", _constant(graph, "mean", mean)]
    graph.node("preprocess/subtracted", "Sub", operands, [subtracted])
    if not plain:
        scale = _constant(graph, "scale", np.array(spec.scale, np.float32))
        graph.node("preprocess/scaled", "Mul", [subtracted, scale], [data.name])
    shape = (data.shape[0], *data.shape[2:], 3)
    return OnnxValue(IMAGES, shape, frozenset(max(axis - 1, 0) for axis in data.dynamic))


def _ordering(graph: OnnxGraph, spec: Preprocess) -> tuple[str, ...]:
    """The operator and its operands that put the channels in order."""
    planes = "preprocess/planes"
    if spec.channels == "RGB":
        return "Identity", planes
    if spec.channels == "BGR":
        steps = {"starts": [-1], "ends": [-4], "axes": [1], "steps": [-1]}
        return "Slice", planes, *(_constant(graph, name, np.array(at, np.int64)) for name, at in steps.items())
    luminance = _constant(graph, "luminance", np.array(_LUMINANCE, np.float32).reshape(1, 3, 1, 1))
    _node(graph, "grey", "Conv", planes, luminance, kernel_shape=[1, 1])
    return "Round", "preprocess/grey"


def centre(spec: Preprocess) -> np.ndarray:
    """The mean image where the centre crop lies in it."""
    top, left = ((spec.mean.shape[axis + 1] - spec.size[axis]) // 2 for axis in (0, 1))
    return spec.mean[:, top : top + spec.size[0], left : left + spec.size[1]]


def _node(graph: OnnxGraph, part: str, operator: str, *inputs: str, **attributes: object) -> None:
    graph.node(f"preprocess/{part}", operator, inputs, [f"preprocess/{part}"], **attributes)


def _constant(graph: OnnxGraph, part: str, values: np.ndarray) -> str:
    return graph.initialiser(f"preprocess/{part}", values, wide=True)
