"""Between two displays nothing waits for the device: every way from a tensor to a number is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.train.small import small_recipe
from trtdream.recipe.schema import Recipe
from trtdream.train import loop
from trtdream.train.run import train

DISPLAYED = {0, 7, 14, 21, 28}

# Operators whose result's size or value the host must know: each waits for a GPU.
READING = {"_local_scalar_dense", "item", "nonzero", "masked_select", "equal", "is_nonzero", "unique_dim", "_unique2"}


class Reads(TorchDispatchMode):
    """Notes the operators that read a value back, those inside the backward pass too."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masks = name in ("index", "index_put") and any(x is not None and x.dtype == torch.bool for x in args[1])
        if name in READING or masks:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def _counting(name: str, found: list[str]) -> Callable[..., object]:
    original = getattr(torch.Tensor, name)

    def counting(self: torch.Tensor, *args: object) -> object:
        if current_thread() is main_thread():  # data are made in others
            found.append(name)
        return original(self, *args)

    return counting


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was read back: by operators, and by the methods that read a CPU tensor without one."""
    mode = Reads()
    for name in ("tolist", "numpy", "cpu"):
        monkeypatch.setattr(torch.Tensor, name, _counting(name, mode.found))
    with mode:
        yield mode.found


def _watch(monkeypatch: pytest.MonkeyPatch, around: Callable[[int, Callable[[], None]], None]) -> None:
    """Let `around` run each iteration, told its number."""
    iterate = loop.Training._iterate
    monkeypatch.setattr(loop.Training, "_iterate", lambda self: around(self.progress.iteration, lambda: iterate(self)))


def _recipe(drawn: Path, folder: Path, **changes: object) -> Recipe:
    several = {"solver__clip_gradients": 5.0, "solver__label_smoothing": 0.1, "solver__iter_size": 2}
    return small_recipe(drawn, folder, solver__max_iter=30, solver__test_interval=0, **several, **changes)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_the_host_reads_only_at_displays(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str], kind: str
) -> None:
    waits: dict[int, list[str]] = {}

    def around(iteration: int, run: Callable[[], None]) -> None:
        before = len(reads)
        run()
        waits[iteration] = reads[before:]

    _watch(monkeypatch, around)
    train(_recipe(drawn, tmp_path / "run", solver__type=kind))
    assert {iteration for iteration, found in waits.items() if found} == DISPLAYED
    assert waits[7] == ["tolist", "tolist"]  # the losses, and the net's one output


def test_reads_are_seen(reads: list[str]) -> None:
    x = torch.tensor([1.0, -1.0], requires_grad=True)
    (x * x).sum().backward()
    assert reads == []
    y = x.detach()
    assert float(y[0]) == 1 and bool(y[0] > 0) and len(y[y > 0]) == 1 and len(torch.nonzero(y)) == 2
    assert y.tolist() == [1, -1]
    assert reads == ["_local_scalar_dense", "_local_scalar_dense", "index", "nonzero", "tolist"]


@pytest.mark.gpu
@pytest.mark.parametrize("graph", [True, False])
def test_a_gpu_is_not_waited_for(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: bool) -> None:
    """torch raises an error at any synchronising call between displays, once everything has warmed up."""

    def around(iteration: int, run: Callable[[], None]) -> None:
        quiet = iteration > loop._MEASURED.start and iteration not in DISPLAYED
        torch.cuda.set_sync_debug_mode("error" if quiet else "default")
        try:
            run()
        finally:
            torch.cuda.set_sync_debug_mode("default")

    _watch(monkeypatch, around)
    train(_recipe(drawn, tmp_path / "run", run__device="cuda", speed__cuda_graph=graph))
