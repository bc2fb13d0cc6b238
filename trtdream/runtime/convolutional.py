"""A classifier for pictures of any size: its inner products as convolutions (Caffe's "net surgery")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trtdream.errors import InputRefused
from trtdream.net.graph import connect
from trtdream.net.kind import Phase, Shape
from trtdream.net.kinds.convolution import Convolution
from trtdream.net.kinds.inner_product import InnerProduct
from trtdream.net.net import Layer
from trtdream.net.shapes import infer_shapes
from trtdream.runtime.model import Model


def fully_convolutional(model: Model) -> Model:
    """The TEST phase of a network with each inner product as a convolution of the whole map that it used to take.

    At the network's own size it computes the same. Of a larger picture it gives scores at places, each of which sees
    a window of the network's size.

    Raises:
        InputRefused: an inner product takes no N x C x H x W, or not all of its axes.
    """
    net = model.net.for_phase(Phase.TEST)
    graph = connect(net)
    layers, weights = {layer.name: layer for layer in net.layers}, dict(model.weights.layers)
    convolved: set[str] = set()  # blobs that used to be N x C, and are N x C x 1 x 1 now
    for shapes in infer_shapes(graph):
        layer, bottom = shapes.step.layer, shapes.bottoms[0] if shapes.bottoms else ()
        if isinstance(layer.kind, InnerProduct):
            kernel = _kernel(model, layer, bottom, shapes.step.reads[0] in convolved)
            layers[layer.name] = replace(layer, kind=_convolution(layer.kind, kernel))
            weights[layer.name] = _reshaped(layer.kind, weights[layer.name], kernel)
            convolved.update(shapes.step.writes)
        elif convolved.intersection(shapes.step.reads):
            convolved.update(shapes.step.writes)
    made = replace(net, layers=tuple(layers[layer.name] for layer in net.layers))
    return replace(model, net=made, weights=replace(model.weights, layers=weights))


def _kernel(model: Model, layer: Layer, bottom: Shape, convolved: bool) -> tuple[int, int]:
    assert isinstance(layer.kind, InnerProduct)
    if layer.kind.axis not in (1, -3) and not (convolved and layer.kind.axis == -1):
        raise InputRefused(f"{model.net.name}: {layer}: axis {layer.kind.axis}: cannot be made a convolution")
    if len(bottom) == 4:
        return bottom[2], bottom[3]
    if convolved:
        return 1, 1
    raise InputRefused(f"{model.net.name}: {layer}: its bottom is of shape {bottom}: cannot be made a convolution")


def _convolution(kind: InnerProduct, kernel: tuple[int, int]) -> Convolution:
    return Convolution(num_output=kind.num_output, bias_term=kind.bias_term, kernel_h=kernel[0], kernel_w=kernel[1])


def _reshaped(kind: InnerProduct, arrays: Sequence[np.ndarray], kernel: tuple[int, int]) -> tuple[np.ndarray, ...]:
    matrix = arrays[0].reshape(arrays[0].shape[-2:])
    matrix = matrix.T if kind.transpose else matrix  # outputs x inputs
    return (np.ascontiguousarray(matrix).reshape(kind.num_output, -1, *kernel), *arrays[1:])
