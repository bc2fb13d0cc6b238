"""Caffe's .solverstate: the iteration, the name of the weights' file, and the solver's history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trtdream.caffe.messages import array_from_blob, fill_blob, message_class, parse
from trtdream.errors import InputRefused


@dataclass(frozen=True)
class SolverState:
    """What stands in a .solverstate.

    history: the solver's buffers as float32, one for each learnable weight in the net's order; for solvers with two
    buffers, the second ones of all weights behind the first ones. current_step: how often the rate has fallen.
    """

    iteration: int
    learned_net: str
    history: tuple[np.ndarray, ...]
    current_step: int = 0


def read_solverstate(content: bytes, origin: str) -> SolverState:
    """Parse a binary .solverstate.

    Raises:
        InputRefused: it is none, or is cut short.
    """
    message = parse("SolverState", content, origin)
    if not message.HasField("iter") or not message.history:
        raise InputRefused(f"{origin}: holds no iteration or no history: it is no .solverstate")
    history = tuple(array_from_blob(blob, f"{origin}: history {i}") for i, blob in enumerate(message.history))
    return SolverState(message.iter, message.learned_net, history, message.current_step)


def write_solverstate(state: SolverState) -> bytes:
    """The binary form, which real Caffe resumes from."""
    message = message_class("SolverState")(
        iter=state.iteration, learned_net=state.learned_net, current_step=state.current_step
    )
    for array in state.history:
        fill_blob(message.history.add(), array)
    return bytes(message.SerializeToString())


def counted_steps(policy: str, iteration: int, stepsize: int | None, stepvalue: Sequence[int]) -> int:
    """Caffe's `current_step` after so many iterations: it is brought up to date when an iteration's rate is asked for,
    so what counts is the iteration before."""
    last = max(iteration - 1, 0)
    if policy == "step" and stepsize:
        return last // stepsize
    return sum(value <= last for value in stepvalue) if policy == "multistep" else 0
