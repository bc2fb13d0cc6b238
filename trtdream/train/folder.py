"""A run's folder: whose it is, and what may stay in it."""

from __future__ import annotations

import shutil
from pathlib import Path

from trtdream.errors import UsageError
from trtdream.train.snapshot import iteration_of, list_snapshots, remove_leftovers

_WRITTEN = ("train.log", "train.*.log", "metrics.jsonl", "curves.png", "batch.png")


def refuse_to_mix(folder: Path) -> None:
    """A folder with snapshots is gone on with, or trained in anew by force; never by accident. Raises UsageError."""
    there = list_snapshots(folder)
    if there:
        raise UsageError(
            f"{folder}: holds a run already (last snapshot {there[-1].name}): --resume latest goes on with it, "
            "run.folder=OTHER trains elsewhere, --force starts anew in its place"
        )


def refuse_later(folder: Path, iteration: int, resumed: Path) -> None:
    """Snapshots of other runs, or later than the one gone on from, would be taken for this run's. Raises UsageError."""
    later = _later(folder, iteration, resumed)
    if later:
        raise UsageError(
            f"{folder}: holds later snapshots than iteration {iteration} (up to {later[-1].name}): run.folder=OTHER "
            "goes on elsewhere, --force removes them"
        )


def clear(folder: Path) -> None:
    """Away with the run that was here."""
    for snapshot in list_snapshots(folder):
        shutil.rmtree(snapshot)
    for pattern in _WRITTEN:
        for path in folder.glob(pattern):
            path.unlink()
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)
    remove_leftovers(folder)


def clear_later(folder: Path, iteration: int, resumed: Path) -> None:
    """Away with what a killed run left half-written, and with later snapshots."""
    for snapshot in _later(folder, iteration, resumed):
        shutil.rmtree(snapshot)
    remove_leftovers(folder)


def _later(folder: Path, iteration: int, resumed: Path) -> list[Path]:
    return [
        path
        for path in list_snapshots(folder)
        if iteration_of(path) >= iteration and path.resolve() != resumed.resolve()
    ]
