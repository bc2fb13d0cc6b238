"""From a recipe to the parts of a training, everything that can be refused refused before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.net import Net
from trtdream.net.torch_module import Loaded, TorchNet
from trtdream.recipe.networks import count_classes, test_net, train_net
from trtdream.recipe.schema import Recipe
from trtdream.runtime.device import pick_device
from trtdream.train.compute import Compute, resolve_compute
from trtdream.train.evaluate import Tester
from trtdream.train.feeding import Feeding, open_feeding
from trtdream.train.fused import FusedUpdate
from trtdream.train.graph import GraphStep
from trtdream.train.rules import Update, learned_weights
from trtdream.train.saving import Saving
from trtdream.train.step import Step
from trtdream.train.usage import usage_of
from trtdream.train.world import World
from trtdream.weights.weights import load_weights


def device_of(recipe: Recipe, world: World | None = None) -> torch.device:
    """Where the recipe runs; of many processes each has its own GPU."""
    device = torch.device(pick_device(recipe.run.device))
    if device.type == "cuda":
        return torch.device("cuda", world.local_rank if world and world.size > 1 else device.index or 0)
    return device


def assemble(recipe: Recipe, world: World, device: torch.device) -> tuple[Saving, Compute]:
    """The nets, the solver and the data of a training, with fresh weights (see `fine_tune`, `Saving.restore`).

    Raises:
        UsageError, InputRefused: whatever is wrong with nets, data or settings.
    """
    compute = resolve_compute(recipe, device, world)
    classes = count_classes(recipe)
    feeding = open_feeding(recipe, recipe.data.train, "TRAIN", compute, world, classes)
    net = build_net(train_net(recipe), Phase.TRAIN, feeding, compute, recipe.run.seed)
    tests = open_tests(recipe, net, compute, world, classes)
    torch.manual_seed(recipe.run.seed + world.rank)
    form = FusedUpdate if compute.fused_update else Update
    update = form(recipe.solver, learned_weights(net, recipe.net.lr_mult))
    step = GraphStep(net, update, compute.compile) if compute.cuda_graph else Step(net, update, world, compute.compile)
    usage = usage_of(recipe, tests[0].feeding if tests else feeding)
    return Saving(recipe, world, step, feeding, tests, usage), compute


def open_tests(
    recipe: Recipe,
    trained: TorchNet | None,
    compute: Compute,
    world: World,
    classes: int | None,
    change: Callable[[Net], Net] | None = None,
) -> list[Tester]:
    """The recipe's test sets, each with its net, which shares the weights of the trained one, if there is one.

    `change` may make another net of a test's first.
    """
    tests = []
    for pictures in recipe.data.test:
        feeding = open_feeding(recipe, pictures, "TEST", compute, world, classes)
        tested = test_net(recipe, pictures)
        net = build_net(change(tested) if change else tested, Phase.TEST, feeding, compute, recipe.run.seed)
        if trained is not None:
            net.share_weights(trained)
        tests.append(Tester(net, feeding, pictures.iterations, world))
    return tests


def build_net(net: Net, phase: Phase, feeding: Feeding, compute: Compute, seed: int) -> TorchNet:
    """The module on its device, its weights filled from `seed`: the same on all ranks."""
    shapes = feeding.shapes(connect(net))
    made = TorchNet(net, phase, shapes, generator=torch.Generator().manual_seed(seed))
    made.compute_dtype = None if compute.dtype == torch.float32 else compute.dtype
    made.forms = compute.forms
    layout = torch.channels_last if compute.channels_last else torch.preserve_format
    made.to(device=compute.device, memory_format=layout)  # type: ignore[call-overload]
    return made


def fine_tune(net: TorchNet, path: Path, offline: bool = False) -> Loaded:
    """Take the weights of a file (or of an official model by its name) for the layers that they fit.

    Raises:
        UsageError, InputRefused: no such file, or none of its layers is the net's.
    """
    weights = load_weights(weights_file(path, offline))
    return take_weights(net, weights.layers, str(path))


def take_weights(net: TorchNet, layers: Mapping[str, Sequence[np.ndarray]], origin: str) -> Loaded:
    """As `fine_tune`, from arrays. Raises InputRefused if not one layer fits."""
    from trtdream.errors import InputRefused

    loaded = net.load(layers, origin, partial=True)
    if not loaded.taken:
        raise InputRefused(f"{origin}: holds weights of another network: not one layer of {net.graph.net.name} fits")
    return loaded


def weights_file(path: Path, offline: bool = False) -> Path:
    """A file of weights: the path itself, the weights of a snapshot or bundle, or an official model's, fetched."""
    from trtdream.net.zoo import ZOO
    from trtdream.weights.fetch import obtain

    if path.is_dir():
        return path / "weights.safetensors"
    if not path.exists() and str(path) in ZOO:
        return obtain(str(path), offline=offline)
    return path
