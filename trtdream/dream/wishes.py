"""From what settings name to the objective that grows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add

import torch
from torch import Tensor

from trtdream.dream.classes import find_class, scores_value
from trtdream.dream.objectives import Objective, make, mean
from trtdream.net.torch_module import TorchNet
from trtdream.recipe.dream_schema import Layer, Settings
from trtdream.runtime.model import Model


def resolved(model: Model, settings: Settings) -> list[tuple[Layer, str]]:
    """The settings' layers, with the values of the network that they mean.

    Raises:
        UsageError: no such layer.
    """
    return [(layer, model.resolve(layer.name)[1]) for layer in settings.targets]


def values_of(model: Model, settings: Settings) -> list[str]:
    """All values that a dream looks at.

    Raises:
        UsageError: no such layer.
    """
    scores = [scores_value(model)] if settings.classes else []
    return [value for _, value in resolved(model, settings)] + scores


def objective_of(model: Model, module: TorchNet, settings: Settings, guide: Tensor | None = None) -> Objective:
    """What the settings want to grow.

    Args:
        model: fully convolutional where classes shall grow: a class's score is the mean over its places.
        guide: the guide picture as a blob, 1 x C x H x W.

    Raises:
        UsageError: no such layer, class, objective or channel, or keys that are lacking.
        InputRefused: the guide is too small for a layer, or the layer does not answer to it.
    """
    wanted = resolved(model, settings)
    features: Mapping[str, Tensor] = {}
    if guide is not None:
        with torch.no_grad():
            features = module(guide, [value for _, value in wanted])

    def term(layer: Layer, value: str) -> Objective:
        name = layer.objective or _objective_name(layer, guide is not None)
        keys = {"channels": layer.channels, "at": layer.at, "direction": layer.direction}
        return layer.weight * make(name, value, {**keys, "features": features.get(value)})

    terms = [term(layer, value) for layer, value in wanted]
    terms += [
        each.weight * mean(scores_value(model), [find_class(model.labels, each.name)]) for each in settings.classes
    ]
    return reduce(add, terms)


def _objective_name(layer: Layer, guided: bool) -> str:
    if layer.direction:
        return "direction"
    if layer.at is not None:
        return "neuron"
    return "guide" if guided else "l2"
