"""The networks of a recipe: the one trained, and those tested."""

from __future__ import annotations

from math import prod
from pathlib import Path

from trtdream.caffe.prototxt import read_prototxt
from trtdream.caffe.solver import read_solver
from trtdream.errors import UsageError
from trtdream.net.graph import Graph, connect
from trtdream.net.kind import Phase, Shape
from trtdream.net.net import Net
from trtdream.net.shapes import infer_shapes
from trtdream.net.zoo import build
from trtdream.recipe.schema import Pictures, Recipe, TestPictures

_ILSVRC12 = 1000
_COLOURS = 3


def train_net(recipe: Recipe) -> Net:
    """The network to train, of the TRAIN phase.

    Raises:
        UsageError: no such network or file.
        InputRefused: a file that is no network.
    """
    return whole_net(recipe).for_phase(Phase.TRAIN, recipe.net.level, recipe.net.stages)


def test_net(recipe: Recipe, pictures: TestPictures) -> Net:
    """The network that is tested on a set, of the TEST phase. Raises as `train_net`."""
    return whole_net(recipe, pictures.net).for_phase(Phase.TEST, pictures.level, pictures.stages)


def input_shapes(
    graph: Graph, pictures: Pictures, channels: int, sides: tuple[int, int], share: int
) -> dict[str, Shape]:
    """The shapes of a net's input blobs: a batch of `share` pictures of channels x sides, and its labels.

    Raises:
        UsageError: the net's inputs are not pictures and labels.
    """
    names = picture_and_label(graph)
    height, width = (pictures.crop, pictures.crop) if pictures.crop else sides
    return {names[0]: (share, channels, height, width), names[1]: (share,)}


def picture_and_label(graph: Graph) -> tuple[str, str]:
    """The names of a net's two input blobs. Raises UsageError if there are not two."""
    if len(graph.inputs) != 2:
        raise UsageError(f"{graph.net.name}: its inputs are {graph.inputs}; pictures and labels are wanted")
    return graph.inputs[0], graph.inputs[1]


def count_classes(recipe: Recipe) -> int | None:
    """How many classes the labels may have: the width of the net's last classifier."""
    from trtdream.net.kinds.convolution import Convolution
    from trtdream.net.kinds.inner_product import InnerProduct

    sized = [layer.kind for layer in train_net(recipe).layers if isinstance(layer.kind, InnerProduct | Convolution)]
    return sized[-1].num_output if sized else None


def whole_net(recipe: Recipe, other: Path | None = None) -> Net:
    """The network of all phases, the recipe's own or that of another prototxt. Raises as `train_net`."""
    if other is None and recipe.net.name is not None:
        return build(recipe.net.name, recipe.net.classes or _ILSVRC12, deploy=False)
    path = other or recipe.net.path
    assert path is not None  # the schema asks for a name or a path
    if "net_param" in path.read_text(errors="replace"):
        written = read_solver(path)[1]
        assert written is not None  # it was read from there before
        return written
    return read_prototxt(path)


def describe(recipe: Recipe) -> dict[str, str | int]:
    """The net's name, its layers and parameters; built in both phases, so a net that cannot be is refused.

    Raises:
        InputRefused: layers that do not fit each other, or the recipe's pictures.
    """
    net = train_net(recipe)
    sets = [(net, recipe.data.train), *((test_net(recipe, each), each) for each in recipe.data.test)]
    counted = []
    for one, pictures in sets:
        graph = connect(one)
        side = pictures.crop or pictures.size
        shapes = infer_shapes(graph, input_shapes(graph, pictures, _COLOURS, (side, side), pictures.batch))
        counted.append(sum(prod(weight.shape) for layer in shapes for weight in layer.weights))
    return {"net": net.name, "layers": len(net.layers), "parameters": counted[0]}
