"""Drawings of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from trtdream.files import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

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


@dataclass(frozen=True)
class Dot:
    """A point of a scatter plot; its label is drawn beside it, if it has one."""

    x: float
    y: float
    label: str = ""


def bars(
    rows: Sequence[str],
    series: Mapping[str, Sequence[float]],
    x_label: str,
    logarithmic: bool = False,
    marked: Sequence[str] = (),
) -> bytes:
    """Horizontal bars, the first row on top, series stacked in each, as SVG.

    Args:
        rows: names, all different or not.
        series: values by row for each name in the legend.
        logarithmic: the x axis; for one series, whose values are written at the bars' ends.
        marked: rows whose bars have another colour.
    """
    figure, axes = _figure(9, 0.7 + 0.17 * len(rows))
    places, left = range(len(rows)), [0.0] * len(rows)
    for index, (name, values) in enumerate(series.items()):
        colours = ["C1" if row in marked else f"C{2 * index}" for row in rows]
        axes.barh(places, values, 0.75, None if logarithmic else left, color=colours, label=name)
        left = [start + value for start, value in zip(left, values, strict=True)]
    axes.set_yticks(places, rows, fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(x_label)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    if logarithmic:
        axes.set_xscale("log")
        positive = [value for value in left if value > 0]
        axes.set_xlim(min(positive) / 2, max(positive) * 4)
        _plain_ticks(axes.xaxis)
        for place, value in zip(places, left, strict=True):
            text = f" {value:,.0f}" if value >= 1000 else f" {value:.3g}"
            axes.annotate(text, (value, place), va="center", fontsize=7)
    if len(series) > 1:
        axes.legend(fontsize=8, loc="lower right")
    return _svg(figure)


def scatter(groups: Mapping[str, Sequence[Dot]], lines: Mapping[str, Line], x_label: str, y_label: str) -> bytes:
    """Points in groups and lines above them on two logarithmic axes, as SVG."""
    figure, axes = _figure(9, 5.5)
    for index, (name, dots) in enumerate(groups.items()):
        axes.scatter([dot.x for dot in dots], [dot.y for dot in dots], s=18, color=f"C{index}", label=name, zorder=3)
    for index, (name, (x, y)) in enumerate(lines.items()):
        axes.plot(x, y, label=name, color="black", linewidth=1.2, linestyle=_STYLES[index % len(_STYLES)])
    labelled = sorted((dot for dots in groups.values() for dot in dots if dot.label), key=lambda dot: dot.y)
    for index, dot in enumerate(labelled):  # alternately above and below, for they lie close together
        place = (6, 5) if index % 2 else (6, -10)
        axes.annotate(dot.label, (dot.x, dot.y), place, textcoords="offset points", fontsize=7)
    axes.set(xscale="log", yscale="log")
    _plain_ticks(axes.xaxis)
    _plain_ticks(axes.yaxis)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return _svg(figure)


def curves(lines: Mapping[str, Line], x_label: str, y_label: str) -> bytes:
    """Lines over an axis of powers of two (batches, threads), from zero up, as SVG."""
    figure, axes = _figure(9, 4)
    for name, (x, y) in lines.items():
        axes.plot(x, y, marker="o", markersize=4, label=name)
    ticks = sorted({value for x, _ in lines.values() for value in x})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return _svg(figure)


_STYLES = ("solid", "dashed", "dotted", "dashdot")


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _plain_ticks(axis: Axis) -> None:
    """On a logarithmic axis: plain numbers, at 1, 2 and 5 of each decade where there is room for that."""
    from matplotlib.ticker import LogLocator, NullLocator

    least, most = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if most < 1000 * least else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def _svg(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()
