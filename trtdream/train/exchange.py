"""Snapshots to and from Caffe's pairs of .caffemodel and .solverstate."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trtdream.caffe.caffemodel import caffemodel_from_weights
from trtdream.caffe.solverstate import SolverState, counted_steps, read_solverstate, write_solverstate
from trtdream.errors import InputRefused, UsageError
from trtdream.files import read_file, write_file
from trtdream.net.graph import connect
from trtdream.net.net import Net
from trtdream.recipe.networks import train_net
from trtdream.recipe.schema import Recipe
from trtdream.train.progress import Progress
from trtdream.train.saving import Saving
from trtdream.train.snapshot import read_snapshot
from trtdream.weights.weights import load_weights


@dataclass(frozen=True)
class Pair:
    """The two files that real Caffe resumes from."""

    caffemodel: Path
    solverstate: Path


def caffe_from_snapshot(snapshot: Path, solverstate: Path) -> Pair:
    """Write a .solverstate and, beside it under the same name, the .caffemodel that it resumes with.

    Raises:
        UsageError, InputRefused: no such snapshot, or one that is damaged.
    """
    read = read_snapshot(snapshot)
    recipe = Recipe.model_validate(read.state.recipe)
    net = train_net(recipe)
    weights = {name: tensor.numpy() for name, tensor in read.weights.items()}
    layers: dict[str, tuple[np.ndarray, ...]] = {}
    for name in sorted(weights, key=_layer_and_index):
        layer = _layer_and_index(name)[0]
        layers[layer] = (*layers.get(layer, ()), weights[name])
    buffers = 1 + max((int(name.split(".")[1]) for name in read.tensors if name.startswith("history.")), default=0)
    history = [
        read.tensors[f"history.{k}.{name}"].numpy() if f"history.{k}.{name}" in read.tensors else np.zeros(shape, "f4")
        for k in range(buffers)
        for name, shape in _learnable(net, weights).items()
    ]
    iteration, solver = read.state.iteration, recipe.solver
    pair = Pair(solverstate.with_suffix(".caffemodel"), solverstate)
    step = counted_steps(solver.lr_policy, iteration, solver.stepsize, solver.stepvalue)
    state = SolverState(iteration, str(pair.caffemodel), tuple(history), step)
    write_file(pair.caffemodel, caffemodel_from_weights(layers, net))
    write_file(pair.solverstate, write_solverstate(state))
    return pair


def resume_from_caffe(saving: Saving, path: Path) -> Progress:
    """Put a training to where real Caffe's .solverstate was written.

    The weights' file is looked for by the name in it, then beside it. Caffe keeps no data position and no random
    state: the data go on where the iteration would have left them, read in order from the start.

    Raises:
        UsageError: the weights' file is not found.
        InputRefused: a file that is damaged or of another net; nothing was changed then.
    """
    state = read_solverstate(read_file(path), str(path))
    named = Path(state.learned_net)
    learned = next((place for place in (named, path.parent / named.name) if place.exists()), None)
    if learned is None:
        raise UsageError(f"{path}: its weights {state.learned_net} are neither there nor beside it")
    update, net = saving.step.update, saving.step.net
    keys = [f"{layer}.{index}" for (layer, index), _ in net.weight_keys()]
    shapes = [tuple(tensor.shape) for _, tensor in net.weight_keys()]
    found = [array.shape for array in state.history]
    if found != shapes * len(update.history):
        raise InputRefused(
            f"{path}: its history does not fit: {len(found)} buffers for {len(shapes)} weights of "
            f"{net.graph.net.name} under {update.solver.type}"
        )
    net.load(load_weights(learned).layers, str(learned))
    with torch.no_grad():
        for k, buffers in enumerate(update.history):
            for weight, buffer in zip(update.weights, buffers, strict=True):
                buffer.copy_(torch.from_numpy(state.history[k * len(keys) + keys.index(weight.name)]))
    loader = saving.feeding.loader
    images = state.iteration * loader.feed.batch * update.solver.iter_size
    loader.load_state_dict({**loader.state_dict(), "position": images})
    return Progress(state.iteration, deque())


def _learnable(net: Net, weights: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """The weights Caffe calls learnable, each once, in the net's order, with their shapes."""
    graph = connect(net)
    shared: set[str] = set()
    found: dict[str, tuple[int, ...]] = {}
    for step in graph.steps:
        index = 0
        while (name := f"{step.layer.name}.{index}") in weights:
            param = step.layer.param(index).name
            if not param or param not in shared:
                found[name] = weights[name].shape
            shared.add(param)
            index += 1
    return found


def _layer_and_index(name: str) -> tuple[str, int]:
    layer, _, index = name.rpartition(".")
    return layer, int(index)
