"""Between a training and its snapshots: what goes into one, and a training put back to where one was written."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from platform import python_version

import numpy as np
import torch
from torch import Tensor

from trtdream import __version__
from trtdream.errors import InputRefused
from trtdream.recipe.schema import Recipe
from trtdream.runtime.bundle import Bundle
from trtdream.train.evaluate import Tester
from trtdream.train.feeding import Feeding
from trtdream.train.progress import Progress
from trtdream.train.rules import Update
from trtdream.train.snapshot import Snapshot, State
from trtdream.train.step import Step
from trtdream.train.usage import Usage
from trtdream.train.world import World
from trtdream.weights.weights import Weights


@dataclass(frozen=True)
class Saving:
    """The parts of a training that a snapshot holds."""

    recipe: Recipe
    world: World
    step: Step
    feeding: Feeding
    tests: list[Tester]
    usage: Usage

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
        for rank, state in enumerate(self.world.gather(torch.get_rng_state())):
            found[f"random.cpu.{rank}"] = state
        if device.type == "cuda":
            for rank, state in enumerate(self.world.gather(torch.cuda.get_rng_state(device))):
                found[f"random.cuda.{rank}"] = state
        return found

    def bundle(self, iteration: int) -> Bundle:
        """The net as it is used, its weights, its pictures, its labels."""
        origin = f"{self.step.net.graph.net.name}, iteration {iteration}"
        weights = Weights(self.step.net.arrays(), origin, "")
        return Bundle(self.usage.net, weights, self.usage.preprocess, self.usage.labels)

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
