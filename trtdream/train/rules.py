"""How a weight changes (Caffe's solvers): the plain form, which is the reference for every faster one.

One update, in Caffe's order (sgd_solver.cpp): clip the accumulated gradients, divide by `iter_size`, add the weight
decay, let the solver's rule make an update of them, subtract it. The learning rate is inside the momentum buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod, sqrt

import numpy as np
import torch
from torch import Tensor

from trtdream.errors import UsageError
from trtdream.net.torch_module import TorchNet
from trtdream.recipe.schema import Solver

Rate = float | Tensor
"""A learning rate: a number, or a scalar on the device where a CUDA graph is to read it."""

Rule = Callable[[Tensor, Sequence[Tensor], Rate, Solver], Tensor]


@dataclass(frozen=True)
class Learned:
    """A weight that is trained: (layer, index), its tensor, and how its layer scales learning rate and decay."""

    key: tuple[str, int]
    tensor: Tensor
    lr_mult: float
    decay_mult: float

    @property
    def name(self) -> str:
        return f"{self.key[0]}.{self.key[1]}"


def learned_weights(net: TorchNet, factors: Mapping[str, float] | None = None) -> list[Learned]:
    """The weights of a net that are trained, each once, in the net's order. Those of lr_mult 0 are not.

    Args:
        factors: multiply the lr_mult of layers, by pattern of their names; what becomes 0 needs no gradient any more.

    Raises:
        UsageError: no layer is of a pattern.
    """
    for pattern in factors or {}:
        if not any(fnmatchcase(layer, pattern) for layer in net.graph.layers):
            raise UsageError(
                f"net.lr_mult: no layer of {net.graph.net.name} is called {pattern!r}; `trtdream layers` lists them"
            )
    found = []
    for (layer, index), tensor in net.weight_keys():
        param = net.graph.layers[layer].layer.param(index)
        factor = prod(value for pattern, value in (factors or {}).items() if fnmatchcase(layer, pattern))
        tensor.requires_grad_(tensor.requires_grad and factor != 0)
        if tensor.requires_grad:
            found.append(Learned((layer, index), tensor, param.lr_mult * factor, param.decay_mult))
    return found


@dataclass(frozen=True)
class _Registered:
    rule: Rule
    buffers: int


RULES: dict[str, _Registered] = {}


def _solver(name: str, buffers: int) -> Callable[[Rule], Rule]:
    """Register a rule with the number of buffers it keeps for a weight; a second of its name fails at import."""

    def register(rule: Rule) -> Rule:
        if name in RULES:
            raise RuntimeError(f"two solvers are called {name}")
        RULES[name] = _Registered(rule, buffers)
        return rule

    return register


class Update:
    """The weights, what the solver remembers of each, and how one iteration changes both.

    `history[k][i]` is buffer k of weight i, of its shape: Caffe's `history` in a .solverstate is buffer 0 of all
    weights, then buffer 1 of all.
    """

    def __init__(self, solver: Solver, weights: Sequence[Learned]) -> None:
        self.solver = solver
        self.weights = list(weights)
        self.history = [
            [torch.zeros_like(weight.tensor) for weight in self.weights] for _ in range(RULES[solver.type].buffers)
        ]

    def scaled(self, rate: float, iteration: int) -> float:
        """The rate as the rule uses it: Adam's changes from iteration to iteration."""
        if self.solver.type != "Adam":
            return rate
        count = iteration + 1
        return rate * sqrt(1 - self.solver.momentum2**count) / (1 - self.solver.momentum**count)

    @torch.no_grad()
    def apply(self, rate: Rate) -> None:
        """Change the weights by their accumulated gradients; `rate` as `scaled` gives it."""
        gradients = self.gradients()
        clip(gradients, self.solver.clip_gradients)
        rule = RULES[self.solver.type].rule
        for index, (weight, gradient) in enumerate(zip(self.weights, gradients, strict=True)):
            if self.solver.iter_size > 1:
                gradient = gradient * (1 / self.solver.iter_size)
            decay = self.solver.weight_decay * weight.decay_mult
            if decay:
                gradient = gradient + decay * _regularised(weight.tensor, self.solver.regularization_type)
            history = [buffer[index] for buffer in self.history]
            weight.tensor.sub_(rule(gradient, history, local_rate(rate, weight.lr_mult), self.solver))

    def gradients(self) -> list[Tensor]:
        """Those of all weights; zeros where the loss does not reach (decay and momentum work on all the same)."""
        return [
            torch.zeros_like(weight.tensor) if weight.tensor.grad is None else weight.tensor.grad
            for weight in self.weights
        ]

    def forget_gradients(self) -> None:
        """Before an iteration's first backward pass."""
        for weight in self.weights:
            weight.tensor.grad = None


def clip(gradients: Sequence[Tensor], limit: float | None) -> None:
    """Scale all gradients down so that the norm of all together is at most `limit`, before any division."""
    if limit is None:
        return
    norm = torch.stack(torch._foreach_norm(list(gradients))).norm()
    factor = (limit / norm).clamp(max=1)  # a norm of 0 gives infinity, so 1
    torch._foreach_mul_(list(gradients), factor)


def local_rate(rate: Rate, multiplier: float) -> Rate:
    """A weight's own rate, a float32 product as Caffe's."""
    return rate * multiplier if isinstance(rate, Tensor) else float(np.float32(rate) * np.float32(multiplier))


def _regularised(weight: Tensor, kind: str) -> Tensor:
    return weight.sign() if kind == "L1" else weight


@_solver("SGD", buffers=1)
def _sgd(gradient: Tensor, history: Sequence[Tensor], rate: Rate, solver: Solver) -> Tensor:
    (velocity,) = history
    velocity.mul_(solver.momentum).add_(rate * gradient)
    return velocity


@_solver("Nesterov", buffers=1)
def _nesterov(gradient: Tensor, history: Sequence[Tensor], rate: Rate, solver: Solver) -> Tensor:
    (velocity,) = history
    before = velocity.clone()
    velocity.mul_(solver.momentum).add_(rate * gradient)
    return (1 + solver.momentum) * velocity - solver.momentum * before


@_solver("AdaGrad", buffers=1)
def _adagrad(gradient: Tensor, history: Sequence[Tensor], rate: Rate, solver: Solver) -> Tensor:
    (squares,) = history
    squares.add_(gradient**2)
    return rate * gradient / (squares.sqrt() + solver.delta)


@_solver("RMSProp", buffers=1)
def _rmsprop(gradient: Tensor, history: Sequence[Tensor], rate: Rate, solver: Solver) -> Tensor:
    (squares,) = history
    squares.mul_(solver.rms_decay).add_((1 - solver.rms_decay) * gradient**2)
    return rate * gradient / (squares.sqrt() + solver.delta)


@_solver("AdaDelta", buffers=2)
def _adadelta(gradient: Tensor, history: Sequence[Tensor], rate: Rate, solver: Solver) -> Tensor:
    squares, updates = history
    squares.mul_(solver.momentum).add_((1 - solver.momentum) * gradient**2)
    update = gradient * ((updates + solver.delta) / (squares + solver.delta)).sqrt()
    updates.mul_(solver.momentum).add_((1 - solver.momentum) * update**2)
    return rate * update


@_solver("Adam", buffers=2)
def _adam(gradient: Tensor, history: Sequence[Tensor], rate: Rate, solver: Solver) -> Tensor:
    mean, squares = history
    mean.mul_(solver.momentum).add_((1 - solver.momentum) * gradient)
    squares.mul_(solver.momentum2).add_((1 - solver.momentum2) * gradient**2)
    return rate * mean / (squares.sqrt() + solver.delta)
