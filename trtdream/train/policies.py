"""How the learning rate changes (Caffe's GetLearningRate), in the precision Caffe computes it in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from trtdream.registry import registrar

if TYPE_CHECKING:
    from trtdream.recipe.schema import Solver

Policy = Callable[["Solver", int], np.floating]
POLICIES: dict[str, Policy] = {}
_policy = registrar(POLICIES, "lr policies")

_one = np.float32(1)


def learning_rate(solver: Solver, iteration: int) -> float:
    """The rate of iteration 0, 1, 2 ...: a float32, as Caffe's solver holds it.

    Under `warmup` (not Caffe's) it rises from 0 in the first so many iterations, in a straight line.
    """
    rate = np.float32(POLICIES[solver.lr_policy](solver, iteration))
    if iteration < solver.warmup:
        rate *= np.float32((iteration + 1) / solver.warmup)
    return float(rate)


def _falling(solver: Solver, steps: int) -> np.floating:
    """base_lr * gamma ^ steps, in float64 of float32 numbers: C++'s pow(float, int)."""
    return np.float64(np.float32(solver.base_lr)) * np.float64(np.float32(solver.gamma)) ** steps


@_policy("fixed")
def _fixed(solver: Solver, iteration: int) -> np.floating:  # noqa: ARG001
    return np.float32(solver.base_lr)


@_policy("step")
def _step(solver: Solver, iteration: int) -> np.floating:
    assert solver.stepsize is not None
    return _falling(solver, iteration // solver.stepsize)


@_policy("exp")
def _exp(solver: Solver, iteration: int) -> np.floating:
    return _falling(solver, iteration)


@_policy("inv")
def _inv(solver: Solver, iteration: int) -> np.floating:
    base = _one + np.float32(solver.gamma) * np.float32(iteration)
    return np.float32(solver.base_lr) * base ** -np.float32(solver.power)


@_policy("multistep")
def _multistep(solver: Solver, iteration: int) -> np.floating:
    return _falling(solver, sum(value <= iteration for value in solver.stepvalue))


@_policy("poly")
def _poly(solver: Solver, iteration: int) -> np.floating:
    left = _one - np.float32(iteration) / np.float32(solver.max_iter)
    return np.float32(solver.base_lr) * left ** np.float32(solver.power)


@_policy("sigmoid")
def _sigmoid(solver: Solver, iteration: int) -> np.floating:
    beyond = np.float32(iteration) - np.float32(solver.stepsize)
    power = np.float32(np.exp(np.float64(-np.float32(solver.gamma) * beyond)))  # numpy's float32 exp is an ulp off
    return np.float32(solver.base_lr) * (_one / (_one + power))
