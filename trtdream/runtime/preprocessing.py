"""What a network's own files tell of the pictures it wants, and what is assumed where they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trtdream.caffe.mean import read_mean
from trtdream.errors import UsageError
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.net import Net
from trtdream.net.parameters import Transformation
from trtdream.net.shapes import infer_shapes
from trtdream.runtime.preprocess import Preprocess, Size

ILSVRC12_MEAN_BGR = (104.00699, 116.66877, 122.67892)
"""The channels of ILSVRC12's mean image, averaged."""

_DATABASE = (256, 256)
_CROPS_OF_DATABASE = (224, 227)
_CHANNELS = {1: "GREY", 3: "BGR"}


def preprocessing(
    net: Net,
    mean: np.ndarray | None = None,
    scale: float | None = None,
    squash: Size | None = None,
    folder: Path = Path(),
    training: Net | None = None,
) -> tuple[Preprocess | None, str]:
    """How a network wants its pictures (None if its first input is no N x 1 or 3 x H x W), and what was assumed of it.

    What is given wins; then what the data layer's `transform_param` says (mean, scale); then assumptions:
    ILSVRC12's channel means for three channels, none for one. A picture is squashed to the mean image's size,
    to Caffe's 256 x 256 for the crops that are cut from it (224, 227), or else straight to the input's size.

    Args:
        folder: where a mean_file that the transform names may lie, beside the working directory.
        training: the train_val network that belongs to a deploy one, for its transform.
    """
    size, channels = _input(net)
    if size is None or channels not in _CHANNELS:
        return None, ""
    transform = _transformation(training or net)
    assumption = ""
    if mean is None and transform is not None:
        mean = _mean(net, transform, channels, folder)
    if mean is None:
        mean = np.zeros(1, np.float32) if channels == 1 else np.array(ILSVRC12_MEAN_BGR, np.float32)
        taken = ", ".join(f"{value:.4g}" for value in mean)
        assumption = f"{net.name}: nothing tells its mean, {taken} is taken"
    if squash is None:
        squash = _squash(mean, size)
    told = transform.scale if transform else 1.0
    return Preprocess(size, squash, mean, told if scale is None else scale, _CHANNELS[channels]), assumption


def _input(net: Net) -> tuple[Size | None, int]:
    graph = connect(net.for_phase(Phase.TEST))
    if not graph.inputs:
        return None, 0
    try:
        shape = infer_shapes(graph, until=graph.inputs[:1])[0].tops[0]
    except UsageError:  # a data layer without a crop: only the data know its size
        return None, 0
    return ((shape[2], shape[3]), shape[1]) if len(shape) == 4 else (None, 0)


def _transformation(net: Net) -> Transformation | None:
    for layer in net.for_phase(Phase.TEST).layers:
        transform = getattr(layer.kind, "transform", None)
        if isinstance(transform, Transformation):
            return transform
    return None


def _mean(net: Net, transform: Transformation, channels: int, folder: Path) -> np.ndarray:
    values = transform.mean_value
    if transform.mean_file:
        for place in (Path(transform.mean_file), folder / transform.mean_file, folder / Path(transform.mean_file).name):
            if place.is_file():
                return read_mean(place)
        raise UsageError(f"{net.name}: its mean file {transform.mean_file} is not found")
    return np.array(values if len(values) == channels else (values or (0,)) * channels, np.float32)


def _squash(mean: np.ndarray, size: Size) -> Size:
    if mean.ndim == 3:
        return mean.shape[1], mean.shape[2]
    return _DATABASE if set(size) <= set(_CROPS_OF_DATABASE) else size
