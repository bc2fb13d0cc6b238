"""What results look like: each drawing from one result's document, None where it holds nothing to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trtdream.bench.headline import beside, published_part
from trtdream.bench.results import WHOLE
from trtdream.page import Picture
from trtdream.plots import Dot, bars, curves, scatter

Document = Mapping[str, Any]
_LABELLED = 4  # the slowest layers, by name in the scatter
_HERE = "this machine"


def layer_bars(document: Document) -> Picture | None:
    """Each layer forward and backward, in the network's order."""
    rows = [row for row in measured(document) if row["name"] != WHOLE] if document["what"] == "net" else []
    names = list(dict.fromkeys(row["name"] for row in rows))
    times = {(row["name"], row["part"]): row["median_ms"] for row in rows}
    parts = [part for part in ("forward", "backward") if any((name, part) in times for name in names)]
    if not parts:
        return None
    series = {part: [times.get((name, part), 0.0) for name in names] for part in parts}
    drawn = bars([_short(name) for name in names], series, f"ms, batch {document['settings'].get('batch')}")
    return Picture(
        drawn, "Bars: milliseconds of each layer", "Each layer's time, by Caffe's names, from the input down."
    )


def roofline(document: Document) -> Picture | None:
    """Operations a second over operations a byte, below the machine's ceilings."""
    limits = document.get("limits")
    rows = [row for row in measured(document) if row.get("flops") and row.get("flops_per_s") and row.get("bytes")]
    if limits is None or not rows:
        return None
    slowest = sorted(rows, key=lambda row: -row["median_ms"])[:_LABELLED]
    groups: dict[str, list[Dot]] = {}
    for row in rows:
        label = _short(f"{row['name']}, {row['part']}") if row in slowest else ""
        dot = Dot(row["flops"] / row["bytes"], row["flops_per_s"] / 1e9, label)
        groups.setdefault(f"{row['kind'].partition(' + ')[0]}, {row['part']}", []).append(dot)
    x = sorted({dot.x for dots in groups.values() for dot in dots})
    precision = document["settings"].get("precision", "float32")
    peaks = {precision: limits["flops_per_s"][precision]} if precision in limits["flops_per_s"] else {}
    roofs = {f"this machine's limit, {name}": _roof(x, peak, limits["bytes_per_s"]) for name, peak in peaks.items()}
    drawn = scatter(groups, roofs, "operations / byte", "GFLOP/s")
    return Picture(
        drawn,
        "Scatter: how near each layer comes to the machine's ceilings",
        "Roofline: layers with multiply-adds; the slowest by name. Above the slope: the blob stays in a cache.",
    )


def _roof(x: Sequence[float], flops_per_s: float, bytes_per_s: float) -> tuple[list[float], list[float]]:
    ridge = flops_per_s / bytes_per_s
    places = sorted({x[0] / 2, *x, ridge, x[-1] * 2})
    return places, [min(flops_per_s, place * bytes_per_s) / 1e9 for place in places]


def throughput(document: Document) -> Picture | None:
    """Images a second against the batch, or against the number of threads."""
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for row in measured(document):
        part, _, batch = row["part"].partition(", batch ")
        place = float(batch) if batch else row.get("threads")
        if place and row.get("images_per_s"):
            x, y = lines.setdefault(part, ([], []))
            x.append(place)
            y.append(row["images_per_s"])
    if not lines:
        return None
    what = "threads" if document["what"] == "engine" else "batch"
    return Picture(
        curves(lines, what, "images/s"), f"Lines: images a second against {what}", f"Throughput against {what}."
    )


def history(document: Document) -> Picture | None:
    """Milliseconds an image from the K40 to here: of each kind of work the published figures, then this machine's."""
    names: list[str] = []
    values: list[float] = []
    for (network, part), rows in _by_work(document).items():
        for figure in sorted(beside(network, rows[0]["part"], rows[0]), key=lambda one: -one.ms_per_image):
            names.append(f"{network}, {part}: {figure.where}")
            values.append(figure.ms_per_image)
        for row in rows:
            backend = f", {row['backend']}" if "backend" in row else ""
            names.append(f"{network}, {part}: {_HERE}{backend}, batch {row['images']}")
            values.append(row["ms_per_image"])
    if not names:
        return None
    ours = [name for name in names if _HERE in name]
    drawn = bars(names, {"": values}, "ms/image (logarithmic)", logarithmic=True, marked=ours)
    caption = "From published figures to this machine (orange); only the same batch is the same work."
    return Picture(drawn, "Bars: milliseconds an image, published and here", caption)


def _by_work(document: Document) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """The rows that something was published beside, by network and part."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in measured(document):
        if beside(row["name"], row["part"], row):
            found.setdefault((row["name"], published_part(row["part"], row)), []).append(row)
    return found


def shares(document: Document) -> Picture | None:
    """A training step by its parts."""
    parts = [row for row in measured(document) if row["name"] == "step" and row["part"] != "whole"]
    if not parts:
        return None
    drawn = bars([row["part"] for row in parts], {"": [row["median_ms"] for row in parts]}, "ms an iteration")
    return Picture(drawn, "Bars: milliseconds of each part of a training step", "Where a step's time goes.")


def measured(document: Document) -> list[Mapping[str, Any]]:
    """The rows that hold a number."""
    return [row for row in document["rows"] if "absent" not in row]


def _short(name: str, most: int = 60) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
