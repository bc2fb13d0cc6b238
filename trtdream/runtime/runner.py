"""The Runner contract: one way to run a network, whatever runs it.

    with OnnxRunner(path) as run:
        outputs = run(batch)

`batch` is N x C x H x W (or what the network's first input takes), or a dictionary of inputs by name; numpy arrays or
torch tensors. Out comes a dictionary of all outputs by name, in the kind that came in, without copies that are not
needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from trtdream.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    Array = np.ndarray | Tensor
    Batch = Array | Mapping[str, Array]


class Runner(Protocol):
    """What torch, ONNX Runtime and TensorRT have in common here."""

    @property
    def description(self) -> str:
        """What runs, where and how: "ONNX Runtime 1.31 on the CPU, int8"."""
        ...

    @property
    def inputs(self) -> Sequence[str]: ...

    @property
    def outputs(self) -> Sequence[str]: ...

    def __enter__(self) -> Runner: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None: ...

    def __call__(self, batch: Batch) -> dict[str, Array]: ...


class Closing:
    """What all runners do at the end of their `with`: close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is held; nothing, if it is memory alone."""


def by_name(batch: Batch, inputs: Sequence[str]) -> dict[str, Array]:
    """A batch as a dictionary of inputs.

    Raises:
        UsageError: inputs are missing, or there are some that the network has not.
    """
    if not isinstance(batch, Mapping):
        batch = {inputs[0]: batch}
    if set(batch) != set(inputs):
        raise UsageError(f"inputs {', '.join(sorted(batch))} were given, the network takes {', '.join(inputs)}")
    return dict(batch)


def run_in_batches(run: Runner, data: np.ndarray, size: int, fixed: bool = False) -> dict[str, np.ndarray]:
    """All outputs for N x ... inputs, run `size` at a time.

    Args:
        fixed: the runner takes whole batches only; the last one is filled up with repetitions.
    """
    lacking = -len(data) % size if fixed else 0
    filled = np.concatenate([data, np.repeat(data[-1:], lacking, 0)]) if lacking else data
    parts = [run(filled[start : start + size]) for start in range(0, len(filled), size)]
    return {name: np.concatenate([np.asarray(part[name]) for part in parts])[: len(data)] for name in run.outputs}


@dataclass(frozen=True)
class Classifier:
    """A runner of class probabilities: the output that holds them, and how many pictures to run at a time.

    instead: why nothing faster runs; empty if this was asked for, or is the fastest.
    """

    runner: Runner
    output: str
    batch: int
    fixed: bool = False
    instead: str = ""
