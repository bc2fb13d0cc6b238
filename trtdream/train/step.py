"""One iteration: forward and backward over `iter_size` batches, then the update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trtdream.net.kinds.losses import SoftmaxWithLoss
from trtdream.net.torch_module import TorchNet
from trtdream.train.rules import Rate, Update
from trtdream.train.world import World


@dataclass(frozen=True)
class Inputs:
    """A batch under the names of the net's input blobs, as the step computes on it."""

    blobs: dict[str, Tensor]

    @property
    def count(self) -> int:
        return next(iter(self.blobs.values())).shape[0]


@dataclass(frozen=True)
class Outcome:
    """What an iteration gave, still on the device: the mean loss, and the last batch's outputs by blob."""

    loss: Tensor
    outputs: dict[str, Tensor]


class Step:
    """The plain step. Nothing in it waits for the device."""

    def __init__(self, net: TorchNet, update: Update, world: World | None = None, compiled: bool = False) -> None:
        self.net, self.update, self.world = net, update, world or World()
        self.outputs = net.graph.outputs
        self._softmaxes = _softmaxes(net) if update.solver.label_smoothing else []
        scores = (one.scores for one in self._softmaxes)
        self._asked = tuple(dict.fromkeys((*self.outputs, *net.loss_weights(), *scores)))
        self._forward = torch.compile(self._values, dynamic=False) if compiled else self._values
        self._change = update.apply

    def run(self, batches: Sequence[Inputs], rate: Rate) -> Outcome:
        """Train one iteration on `iter_size` batches."""
        self.update.forget_gradients()
        loss, outputs = self.forward_backward(batches)
        self.world.average([weight.tensor.grad for weight in self.update.weights if weight.tensor.grad is not None])
        self._change(rate)
        return Outcome(loss, outputs)

    @property
    def device(self) -> torch.device:
        return self.update.weights[0].tensor.device

    @torch.no_grad()
    def loss(self, batch: Inputs) -> Tensor:
        """The loss of a batch, nothing learned from it."""
        return self.objective(self._forward(batch.blobs)).detach()

    def forward_backward(self, batches: Sequence[Inputs]) -> tuple[Tensor, dict[str, Tensor]]:
        """Accumulate the gradients of the batches; the mean of their losses and the last one's outputs."""
        losses, outputs = [], {}
        for batch in batches:
            values = self._forward(batch.blobs)
            loss = self.objective(values)
            loss.backward()
            losses.append(loss.detach())
            outputs = {name: values[name].detach() for name in self.outputs}
        return torch.stack(losses).mean(), outputs

    def _values(self, blobs: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.net(blobs, self._asked)

    def objective(self, values: dict[str, Tensor]) -> Tensor:
        """The weighted losses; with label smoothing e, each is (1 - e) of itself and e of the mean over classes."""
        loss = self.net.loss(values)
        for one in self._softmaxes:
            uniform = -values[one.scores].float().log_softmax(1).mean()
            loss = loss + one.weight * self.update.solver.label_smoothing * (uniform - values[one.loss])
        return loss


@dataclass(frozen=True)
class _Softmax:
    """A SoftmaxWithLoss: the values it reads and writes, and its loss weight."""

    scores: str
    loss: str
    weight: float


def _softmaxes(net: TorchNet) -> list[_Softmax]:
    weights = net.loss_weights()
    return [
        _Softmax(step.reads[0], step.writes[0], weights[step.writes[0]])
        for step in net.graph.steps
        if isinstance(step.layer.kind, SoftmaxWithLoss) and step.writes[0] in weights
    ]
