"""Results as one self-contained page: what was measured on what, the drawings, all numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trtdream.bench.drawings import history, layer_bars, measured, roofline, shares, throughput
from trtdream.bench.headline import beside
from trtdream.page import Heading, Paragraph, Part, Table, write_page

Document = Mapping[str, Any]
_DRAWINGS = (history, shares, layer_bars, roofline, throughput)
_COLUMNS = {  # of the table, by a row's key: the heading, and how a value is written
    "median_ms": ("median, ms", "{:.4g}"),
    "p90_ms": ("p90, ms", "{:.4g}"),
    "p99_ms": ("p99, ms", "{:.4g}"),
    "spread": ("spread", "{:.1%}"),
    "runs": ("n", "{}"),
    "images": ("batch", "{}"),
    "ms_per_image": ("ms/image", "{:.4g}"),
    "images_per_s": ("images/s", "{:,.4g}"),
    "macs": ("MACs", "{:,}"),
    "flops_per_s": ("FLOP/s", "{:.3g}"),
    "bytes_per_s": ("byte/s", "{:.3g}"),
    "of_limit": ("of the limit", "{:.0%}"),
}
_TITLES = {
    "headline": "This machine",
    "net": "Layer by layer",
    "data": "Data",
    "train": "A training step",
    "engine": "An engine",
    "dream": "A dream",
}


def write_report(path: Path, documents: Sequence[Document]) -> None:
    """Write the page of one or more results (see `Result.document`), whole or not at all."""
    parts = [Paragraph(_machine(documents[0]))]
    write_page(path, "trtdream bench", [*parts, *(part for document in documents for part in report_parts(document))])


def report_parts(document: Document) -> Iterator[Part]:
    """One result's heading, drawings and table."""
    settings = ", ".join(f"{key} {value}" for key, value in document["settings"].items())
    yield Heading(_TITLES[document["what"]])
    yield Paragraph(settings)
    if document["doubts"]:
        yield Paragraph(f"Doubtful: {'; '.join(document['doubts'])}.")
    for draw in _DRAWINGS:
        if (picture := draw(document)) is not None:
            yield picture
    if document["what"] == "headline":
        yield from _published(document)
    yield Heading("All numbers", 3)
    yield _numbers(document)
    if absent := [(row["name"], row["part"], row["absent"]) for row in document["rows"] if "absent" in row]:
        yield Heading("Not measured", 3)
        yield Table(("what", "part", "why"), absent)


def _machine(document: Document) -> str:
    machine = document["machine"]
    versions = [f"{name} {value}" for name, value in machine.items() if name not in _HARDWARE]
    hardware = machine["gpu"] or f"{machine['processor']}, {machine['cores']} cores, threads {machine['threads']}"
    load = f"load {document['load_average'][0]}" if document["load_average"] else "load unknown"
    return f"{hardware}; {', '.join(versions)}; {load}; measured {document['measured']}"


_HARDWARE = ("processor", "cores", "threads", "gpu")


def _published(document: Document) -> Iterator[Part]:
    cells = []
    for row in document["rows"]:
        for figure in beside(row["name"], row["part"], row):
            ratio = "another batch" if figure.ratio is None else f"{figure.ratio:.3g}"
            ours = f"{row['ms_per_image']:.4g}"
            cells.append(
                (row["name"], row["part"], ours, f"{figure.ms_per_image:.3g}", ratio, figure.where, figure.source)
            )
    columns = ("what", "part", "here, ms/image", "published", "ratio", "on", "source")
    yield Table(columns, cells, right=("here, ms/image", "published", "ratio"))


def _numbers(document: Document) -> Table:
    """Every row that was measured; only the columns that some row has. Why a number is doubtful stands at its end."""
    rows = measured(document)
    keys = [key for key in _COLUMNS if any(row.get(key) for row in rows)]
    headings = [_COLUMNS[key][0] for key in keys]
    cells = []
    for row in rows:
        numbers = [_COLUMNS[key][1].format(row[key]) if row.get(key) else "" for key in keys]
        cells.append((row["name"], row["part"], *numbers, row.get("limit", ""), "; ".join(row["doubts"])))
    return Table(("what", "part", *headings, "limit", "doubts"), cells, right=headings)
