"""A run's curves: loss, accuracy, learning rate over iterations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import isfinite
from pathlib import Path

from trtdream.plots import Line, Panel, draw_panels
from trtdream.train.metrics import Metric


def draw_curves(path: Path, metrics: Sequence[Metric], title: str, losses: Collection[str]) -> None:
    """Write curves.png: the training loss and the tests' losses, the tests' accuracies, the learning rate.

    `losses` are the names of the outputs that are losses.
    """
    train = [line for line in metrics if line.kind == "train"]
    tests = [line for line in metrics if line.kind == "test"]
    names = sorted({(line.set, name) for line in tests for name in line.outputs})
    several = len({line.set for line in tests}) > 1
    falling = {"train": _line([(line.iteration, line.loss) for line in train])}
    rising: dict[str, Line] = {}
    for index, name in names:
        points = [(line.iteration, line.outputs.get(name)) for line in tests if line.set == index]
        target = falling if name in losses else rising
        target[f"test {index}: {name}" if several else f"test: {name}"] = _line(points)
    rates = {"lr": _line([(line.iteration, line.lr) for line in train])}
    panels = [Panel("loss", falling), Panel("accuracy", rising), Panel("learning rate", rates)]
    draw_panels(path, [panel for panel in panels if panel.lines], title, "iteration")


def _line(points: Sequence[tuple[int, float | None]]) -> Line:
    kept = [(x, y) for x, y in points if y is not None and isfinite(y)]
    return [x for x, _ in kept], [y for _, y in kept]
