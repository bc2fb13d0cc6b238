"""Drawings of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from trtdream.files import write_file

Line = tuple[Sequence[float], Sequence[float]]
"""x and y of the points that a line joins."""


@dataclass(frozen=True)
class Panel:
    """One drawing: its lines by name, its y axis."""

    title: str
    lines: Mapping[str, Line] = field(default_factory=dict)
    logarithmic: bool = False


def draw_panels(path: Path, panels: Sequence[Panel], title: str, x_label: str) -> None:
    """Write panels below each other, with one x axis, as a PNG; whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.6 * len(panels) + 0.6))
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for axes, panel in zip(figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0], panels, strict=True):
        for name, (x, y) in panel.lines.items():
            axes.plot(x, y, label=name, linewidth=1.2, marker="." if len(x) < 40 else None)
        axes.set_title(panel.title, fontsize=9, loc="left")
        axes.grid(alpha=0.3)
        if panel.logarithmic:
            axes.set_yscale("log")
        if panel.lines:
            axes.legend(fontsize=8)
    axes.set_xlabel(x_label)
    figure.subplots_adjust(left=0.08, right=0.97, top=0.92, bottom=0.07, hspace=0.22)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    write_file(path, buffer.getvalue())
