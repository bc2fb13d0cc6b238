"""What a layer has to do at least: multiply-adds, and numbers that must be read and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from trtdream.net.kind import Shape
from trtdream.net.shapes import LayerShapes

BOTH = "forward + backward"


@dataclass(frozen=True)
class Work:
    """One pass of one layer: floating-point operations and bytes moved, every operand once."""

    flops: int
    bytes: int


def forward_work(shapes: LayerShapes, number_bytes: int) -> Work:
    """Two operations a multiply-accumulate; bottoms and weights are read, tops written."""
    moved = _size(shapes.bottoms) + shapes.parameters + _size(shapes.tops)
    return Work(2 * shapes.macs, moved * number_bytes)


def backward_work(shapes: LayerShapes, number_bytes: int, to_bottoms: bool, to_weights: bool = True) -> Work:
    """A product for the weights' gradient, and one for the bottoms' where something below wants it.

    Read are bottoms, weights and the tops' gradient; written the gradients of the weights and of the bottoms.
    """
    products = (bool(shapes.weights) and to_weights) + to_bottoms
    moved = _size(shapes.bottoms) * (1 + to_bottoms) + (1 + to_weights) * shapes.parameters + _size(shapes.tops)
    return Work(2 * products * shapes.macs, moved * number_bytes)


def training_works(layers: Sequence[LayerShapes], number_bytes: int, force_backward: bool) -> dict[str, list[Work]]:
    """What the layers have to do: forward, backward, both, the update, and all of it, a step."""
    computing = [shapes for shapes in layers if not shapes.step.layer.kind.is_input]
    wanted = wants_gradient(layers, force_backward)
    forward = [forward_work(shapes, number_bytes) for shapes in computing]
    backward = [
        backward_work(shapes, number_bytes, any(wanted[value] for value in shapes.step.reads))
        for shapes in computing
        if any(wanted[value] for value in shapes.step.writes)
    ]
    both, update = forward + backward, [_update_work(layers)]
    return {"forward": forward, "backward": backward, BOTH: both, "update": update, "step": both + update}


def dreaming_works(layers: Sequence[LayerShapes], number_bytes: int) -> tuple[list[Work], list[Work]]:
    """What a step uphill has to do: forward, and back the gradient to the picture but to no weight."""
    computing = [shapes for shapes in layers if not shapes.step.layer.kind.is_input]
    forward = [forward_work(shapes, number_bytes) for shapes in computing]
    return forward, [backward_work(shapes, number_bytes, True, to_weights=False) for shapes in reversed(computing)]


def _update_work(layers: Sequence[LayerShapes]) -> Work:
    """SGD with momentum, in float32 whatever the blobs are: three numbers a weight are read, two written."""
    learned = sum(weight.size for shapes in layers for weight in shapes.weights if weight.learned)
    return Work(0, 5 * 4 * learned)


def wants_gradient(layers: Sequence[LayerShapes], force: bool) -> Mapping[str, bool]:
    """For each value, whether a gradient with respect to it is computed: something at or below it learns."""
    wanted: dict[str, bool] = {}
    for shapes in layers:
        learns = any(
            weight.learned and shapes.step.layer.param(index).lr_mult != 0
            for index, weight in enumerate(shapes.weights)
        )
        given = force and shapes.step.layer.kind.is_input
        below = any(wanted[value] for value in shapes.step.reads)
        wanted.update(dict.fromkeys(shapes.step.writes, learns or given or below))
    return wanted


def _size(shapes: Sequence[Shape]) -> int:
    return sum(prod(shape) for shape in shapes)
