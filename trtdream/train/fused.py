"""The same updates on all weights at once, in place: a handful of launches on a GPU, fewer passes over memory on a CPU.

Equal to the plain form of `trtdream.train.rules` within a few float32 roundings; its test says how few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trtdream.recipe.schema import Solver
from trtdream.train.rules import RULES, Learned, Rate, Update, clip, local_rate

Tensors = list[Tensor]


@dataclass(frozen=True)
class _Group:
    """Weights that share both multipliers, by their places in the list."""

    places: tuple[int, ...]
    lr_mult: float
    decay_mult: float


class FusedUpdate(Update):
    """`Update`, a group of weights at a time. Changes the gradients too."""

    def __init__(self, solver: Solver, weights: Sequence[Learned]) -> None:
        super().__init__(solver, weights)
        groups: dict[tuple[float, float], list[int]] = {}
        for place, weight in enumerate(self.weights):
            groups.setdefault((weight.lr_mult, weight.decay_mult), []).append(place)
        self._groups = [_Group(tuple(places), *multipliers) for multipliers, places in groups.items()]

    @torch.no_grad()
    def apply(self, rate: Rate) -> None:
        everything = self.gradients()
        clip(everything, self.solver.clip_gradients)
        for group in self._groups:
            weights = [self.weights[place].tensor for place in group.places]
            gradients = [everything[place] for place in group.places]
            history = [[buffer[place] for place in group.places] for buffer in self.history]
            if self.solver.iter_size > 1:
                torch._foreach_mul_(gradients, 1 / self.solver.iter_size)
            decay, group_rate = self.solver.weight_decay * group.decay_mult, local_rate(rate, group.lr_mult)
            if isinstance(group_rate, float) and _has_one_pass(self.solver):
                _sgd_in_one_pass(weights, gradients, history[0], group_rate, decay, self.solver.momentum)
                continue
            if decay:
                regular = torch._foreach_sign(weights) if self.solver.regularization_type == "L1" else weights
                torch._foreach_add_(gradients, regular, alpha=decay)
            FUSED[self.solver.type](weights, gradients, history, group_rate, self.solver)


def _has_one_pass(solver: Solver) -> bool:
    """Whether torch's fused SGD can be made Caffe's: without momentum it keeps no buffer, and has no L1."""
    return solver.type == "SGD" and solver.momentum > 0 and solver.regularization_type == "L2"


def _sgd_in_one_pass(
    weights: Tensors, gradients: Tensors, velocity: Tensors, rate: float, decay: float, momentum: float
) -> None:
    """`_sgd` with its decay, in 5 passes over memory for 11.

    torch's rule is v = momentum v + (1 - dampening) (g + decay w); w -= lr v. Caffe has its rate in v: there it is put
    as what dampening leaves, and lr is 1.
    """
    torch._fused_sgd_(
        weights,
        gradients,
        velocity,
        weight_decay=decay,
        momentum=momentum,
        lr=1.0,
        dampening=1 - rate,
        nesterov=False,
        maximize=False,
        is_first_step=False,
    )


def _sgd(weights: Tensors, gradients: Tensors, history: Sequence[Tensors], rate: Rate, solver: Solver) -> None:
    (velocity,) = history
    torch._foreach_mul_(velocity, solver.momentum)
    _add_scaled(velocity, gradients, rate)
    torch._foreach_sub_(weights, velocity)


def _nesterov(weights: Tensors, gradients: Tensors, history: Sequence[Tensors], rate: Rate, solver: Solver) -> None:
    (velocity,) = history
    torch._foreach_add_(weights, velocity, alpha=solver.momentum)
    torch._foreach_mul_(velocity, solver.momentum)
    _add_scaled(velocity, gradients, rate)
    torch._foreach_sub_(weights, velocity, alpha=1 + solver.momentum)


def _adagrad(weights: Tensors, gradients: Tensors, history: Sequence[Tensors], rate: Rate, solver: Solver) -> None:
    (squares,) = history
    torch._foreach_addcmul_(squares, gradients, gradients)
    _subtract_ratio(weights, gradients, squares, rate, solver)


def _rmsprop(weights: Tensors, gradients: Tensors, history: Sequence[Tensors], rate: Rate, solver: Solver) -> None:
    (squares,) = history
    _average_squares(squares, gradients, solver.rms_decay)
    _subtract_ratio(weights, gradients, squares, rate, solver)


def _adadelta(weights: Tensors, gradients: Tensors, history: Sequence[Tensors], rate: Rate, solver: Solver) -> None:
    squares, updates = history
    _average_squares(squares, gradients, solver.momentum)
    ratio = list(torch._foreach_add(updates, solver.delta))
    torch._foreach_div_(ratio, torch._foreach_add(squares, solver.delta))
    torch._foreach_sqrt_(ratio)
    torch._foreach_mul_(ratio, gradients)
    _average_squares(updates, ratio, solver.momentum)
    torch._foreach_mul_(ratio, rate)
    torch._foreach_sub_(weights, ratio)


def _adam(weights: Tensors, gradients: Tensors, history: Sequence[Tensors], rate: Rate, solver: Solver) -> None:
    mean, squares = history
    torch._foreach_lerp_(mean, gradients, 1 - solver.momentum)
    _average_squares(squares, gradients, solver.momentum2)
    _subtract_ratio(weights, mean, squares, rate, solver)


def _add_scaled(to: Tensors, what: Tensors, rate: Rate) -> None:
    if isinstance(rate, Tensor):  # alpha would have to be read back to the host
        torch._foreach_mul_(what, rate)
        torch._foreach_add_(to, what)
    else:
        torch._foreach_add_(to, what, alpha=rate)


def _average_squares(squares: Tensors, what: Tensors, kept: float) -> None:
    torch._foreach_mul_(squares, kept)
    torch._foreach_addcmul_(squares, what, what, value=1 - kept)


def _subtract_ratio(weights: Tensors, upper: Tensors, squares: Tensors, rate: Rate, solver: Solver) -> None:
    """weights -= rate * upper / (sqrt(squares) + delta)."""
    lower = torch._foreach_sqrt(squares)
    torch._foreach_add_(lower, solver.delta)
    ratio = torch._foreach_div(upper, lower)
    torch._foreach_mul_(ratio, rate)
    torch._foreach_sub_(weights, ratio)


FUSED: dict[str, Callable[[Tensors, Tensors, Sequence[Tensors], Rate, Solver], None]] = {
    "SGD": _sgd,
    "Nesterov": _nesterov,
    "AdaGrad": _adagrad,
    "RMSProp": _rmsprop,
    "AdaDelta": _adadelta,
    "Adam": _adam,
}
assert FUSED.keys() == RULES.keys(), "every rule has both forms"
