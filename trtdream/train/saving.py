"""Between a training and its snapshots: what goes into one, and a training put back to where one was written."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import PurePath
from platform import python_version

import numpy as np
import torch
from torch import Tensor

from trtdream import __version__
from trtdream.data.sources import Listing
from trtdream.errors import InputRefused, UsageError
from trtdream.files import read_file
from trtdream.net.deploy import deploy_net
from trtdream.net.kind import Phase
from trtdream.net.net import Net
from trtdream.recipe.networks import count_classes, whole_net
from trtdream.recipe.schema import Recipe
from trtdream.runtime.bundle import Bundle
from trtdream.runtime.open_model import ilsvrc12_labels
from trtdream.runtime.preprocess import Preprocess
from trtdream.train.evaluate import Tester
from trtdream.train.feeding import Feeding
from trtdream.train.loop import Progress
from trtdream.train.rules import Update
from trtdream.train.snapshot import Snapshot, State
from trtdream.train.step import Step
from trtdream.train.world import World
from trtdream.weights.weights import Weights

_CHANNELS = {1: "GREY", 3: "BGR"}


@dataclass(frozen=True)
class Saving:
    """The parts of a training that a snapshot holds."""

    recipe: Recipe
    world: World
    step: Step
    feeding: Feeding
    tests: list[Tester]

    def state(self, progress: Progress) -> State:
        """What snapshot.json says."""
        update = self.step.update
        return State(
            iteration=progress.iteration,
            net=self.step.net.graph.net.name,
            solver=update.solver.type,
            weights=tuple(weight.name for weight in update.weights),
            loss_window=tuple(progress.loss_window),
            positions={name: feeding.loader.state_dict() for name, feeding in self._feedings().items()},
            recipe=self.recipe.model_dump(mode="json"),
            versions={
                "trtdream": __version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": python_version(),
            },
            ranks=self.world.size,
            seconds=progress.seconds,
            last_test=progress.last_test,
            unwritten_losses=tuple(progress.unwritten_losses),
        )

    def tensors(self) -> dict[str, Tensor]:
        """The solver's buffers, and the random states of all ranks, which every rank must ask for together."""
        update, device = self.step.update, self.step.device
        found = {
            f"history.{k}.{weight.name}": buffer.cpu()
            for k, buffers in enumerate(update.history)
            for weight, buffer in zip(update.weights, buffers, strict=True)
        }
        for rank, state in enumerate(self.world.gather(torch.get_rng_state(), device)):
            found[f"random.cpu.{rank}"] = state
        if device.type == "cuda":
            for rank, state in enumerate(self.world.gather(torch.cuda.get_rng_state(device), device)):
                found[f"random.cuda.{rank}"] = state
        return found

    def bundle(self, iteration: int) -> Bundle:
        """The net as it is used, its weights, its pictures, its labels."""
        feeding = self.tests[0].feeding if self.tests else self.feeding
        origin = f"{self.step.net.graph.net.name}, iteration {iteration}"
        return Bundle(
            _net_to_use(self.recipe, feeding),
            Weights(self.step.net.arrays(), origin, ""),
            preprocess_of(feeding),
            labels_of(self.recipe, feeding),
        )

    def restore(self, snapshot: Snapshot) -> Progress:
        """Put everything back to where it was.

        Raises:
            InputRefused: the snapshot is of another net, solver or data set; nothing was changed then.
        """
        update, state = self.step.update, snapshot.state
        self._check_fit(snapshot)
        with torch.no_grad():
            for (layer, index), tensor in self.step.net.weight_keys():
                tensor.copy_(snapshot.weights[f"{layer}.{index}"])
            for k, buffers in enumerate(update.history):
                for weight, buffer in zip(update.weights, buffers, strict=True):
                    buffer.copy_(snapshot.tensors[f"history.{k}.{weight.name}"])
        for name, feeding in self._feedings().items():
            if name in state.positions:
                feeding.loader.load_state_dict(state.positions[name])
        self._restore_random(snapshot.tensors)
        window = deque(state.loss_window)
        return Progress(state.iteration, window, state.seconds, dict(state.last_test), list(state.unwritten_losses))

    def _feedings(self) -> dict[str, Feeding]:
        return {"train": self.feeding, **{f"test.{i}": test.feeding for i, test in enumerate(self.tests)}}

    def _check_fit(self, snapshot: Snapshot) -> None:
        state, update = snapshot.state, self.step.update
        names = tuple(weight.name for weight in update.weights)
        shapes = {f"{layer}.{index}": tuple(t.shape) for (layer, index), t in self.step.net.weight_keys()}
        found = {name: tuple(tensor.shape) for name, tensor in snapshot.weights.items()}
        if state.weights != names or any(found.get(name) != shape for name, shape in shapes.items()):
            raise InputRefused(
                f"{snapshot.path}: is a snapshot of another net ({state.net}, {len(state.weights)} weights) than the "
                f"recipe's ({self.step.net.graph.net.name}, {len(names)})"
            )
        if state.solver != update.solver.type:
            raise InputRefused(f"{snapshot.path}: was trained by {state.solver}, the recipe says {update.solver.type}")

    def _restore_random(self, tensors: dict[str, Tensor]) -> None:
        rank = self.world.rank
        if f"random.cpu.{rank}" in tensors:
            torch.set_rng_state(tensors[f"random.cpu.{rank}"])
        if self.step.device.type == "cuda" and f"random.cuda.{rank}" in tensors:
            torch.cuda.set_rng_state(tensors[f"random.cuda.{rank}"], self.step.device)


def snapshot_bytes(update: Update) -> int:
    """What a snapshot takes on the disk, about: weights and buffers in float32."""
    size = sum(weight.tensor.numel() for weight in update.weights) * 4
    return size * (1 + len(update.history))


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
    if recipe.net.labels is not None:
        return tuple(read_file(recipe.net.labels).decode(errors="replace").splitlines())
    source = feeding.loader.source
    if isinstance(source, Listing) and (found := source.classes or _folders(source)):
        return found
    names = ilsvrc12_labels()
    return names if count_classes(recipe) == len(names) else ()


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
