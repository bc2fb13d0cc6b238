"""How a trained net is used: its deploy form, what its pictures go through, what its classes are called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from trtdream.data.sources import Listing
from trtdream.errors import UsageError
from trtdream.files import read_file
from trtdream.net.deploy import deploy_net
from trtdream.net.kind import Phase
from trtdream.net.net import Net
from trtdream.recipe.networks import count_classes, whole_net
from trtdream.recipe.schema import Recipe
from trtdream.runtime.open_model import ilsvrc12_labels
from trtdream.runtime.preprocess import Preprocess
from trtdream.train.feeding import Feeding

_CHANNELS = {1: "GREY", 3: "BGR"}


@dataclass(frozen=True)
class Usage:
    """What makes a bundle of weights; see `trtdream.runtime.bundle.Bundle`."""

    net: Net
    preprocess: Preprocess | None
    labels: tuple[str, ...]


def usage_of(recipe: Recipe, feeding: Feeding) -> Usage:
    """How the recipe's net is used, its pictures as in `feeding`.

    Raises:
        UsageError: `net.labels` names another number of classes than the net has.
        InputRefused: a file that cannot be read.
    """
    return Usage(_net_to_use(recipe, feeding), preprocess_of(feeding), labels_of(recipe, feeding))


def preprocess_of(feeding: Feeding) -> Preprocess | None:
    """How the net wants its pictures, from what its data room does; None for neither colour nor grey pictures."""
    pictures, transform = feeding.pictures, feeding.loader.transform
    channels, height, width = feeding.picture_shape
    if channels not in _CHANNELS:
        return None
    mean = transform.mean(channels, height, width)
    if mean is None:
        mean = np.zeros(channels, np.float32)
    elif mean.shape[1] == 1:
        mean = mean.reshape(channels)
    size = (pictures.crop, pictures.crop) if pictures.crop else (height, width)
    return Preprocess(size, (height, width), mean, pictures.scale, _CHANNELS[channels])


def labels_of(recipe: Recipe, feeding: Feeding) -> tuple[str, ...]:
    """The classes' names: the recipe's file, the names of their folders, or ILSVRC12's for a thousand classes."""
    classes, source = count_classes(recipe), feeding.loader.source
    if recipe.net.labels is not None:
        given = tuple(read_file(recipe.net.labels).decode(errors="replace").splitlines())
        if classes is not None and len(given) != classes:
            raise UsageError(f"net.labels: {recipe.net.labels} names {len(given)} classes, the net has {classes}")
        return given
    if isinstance(source, Listing) and (found := source.classes or _folders(source)):
        return found
    names = ilsvrc12_labels()
    return names if classes == len(names) else ()


def _folders(source: Listing) -> tuple[str, ...]:
    """The names of the folders that a list's pictures lie in, where each class has one of its own; else none."""
    pairs = {(int(label), PurePath(path).parent.name) for path, label in zip(source.paths, source.labels, strict=True)}
    labels, names = {label for label, _ in pairs}, {name for _, name in pairs}
    if len(pairs) != len(labels) or len(pairs) != len(names) or labels != set(range(len(pairs))) or "" in names:
        return ()
    return tuple(name for _, name in sorted(pairs))


def _net_to_use(recipe: Recipe, feeding: Feeding) -> Net:
    net = whole_net(recipe)
    channels, height, width = feeding.picture_shape
    crop = feeding.pictures.crop
    try:
        return deploy_net(net, channels, crop or height, crop or width)
    except UsageError:  # no classifier: it is used as it is tested
        return net.for_phase(Phase.TEST)
