"""Writes README.md's tables from benchmarks/results/*.json, so that no number there is typed by hand.

python benchmarks/readme_tables.py           rewrite the tables
python benchmarks/readme_tables.py --check   only say whether they are what the results say (exit 1 if not)
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trtdream.bench.headline import beside
from trtdream.files import write_file

ROOT = Path(__file__).resolve().parents[1]
_TABLE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def main() -> None:
    readme = ROOT / "README.md"
    before = readme.read_text()
    after = _TABLE.sub(lambda found: f"{found[1]}{render(ROOT / found[2])}{found[3]}", before)
    if "--check" in sys.argv:
        sys.exit(after != before)
    write_file(readme, after)


def render(result: Path) -> str:
    """The markdown of a result's table, and the machine below it."""
    document = json.loads(result.read_text())
    table, note = TABLES[result.name]
    return f"{table(document)}\n{note(document)}\n\n"


def forward(document: dict[str, Any]) -> str:
    lines = [
        "| network, batch | forward, ms | real Caffe | | forward and gradient to the picture, ms | real Caffe | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in document["rows"]:
        cells = [f"{row['network']}, {row['batch']}"]
        for part in ("forward", "forward_and_gradient"):
            ours, caffes = row[part]["median_ms"], row[part]["caffe_ms"]
            cells += [f"{ours:.1f}", f"{caffes:.1f}", f"{ours / caffes:.0%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def forward_note(document: dict[str, Any]) -> str:
    """Hardware, versions and repetitions, without which the numbers say nothing."""
    machine = document["machine"]
    runs = document["rows"][0]["forward"]["runs"]
    where = machine["gpu"] or f"{machine['processor']}, {document['threads']} threads"
    return (
        f"Median of {runs} runs after warming up; {where}, torch {machine['torch']}, float32; no copies, no decoding."
    )


def data(document: dict[str, Any]) -> str:
    columns = sorted({(row["threads"], row["batch"]) for row in document["rows"]})
    found = {(row["source"], row["threads"], row["batch"]): row["images_per_s"] for row in document["rows"]}
    heads = [f"{threads} thread{'s' * (threads > 1)}, batch {batch}" for threads, batch in columns]
    lines = [f"| images/s | {' | '.join(heads)} |", f"| --- | {' | '.join('---' for _ in heads)} |"]
    for source in dict.fromkeys(row["source"] for row in document["rows"]):
        cells = [f"{found[source, threads, batch]:,.0f}" for threads, batch in columns]
        lines.append(f"| {source} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def data_note(document: dict[str, Any]) -> str:
    machine, runs = document["machine"], document["rows"][0]["runs"]
    return (
        f"256 x 256 JPEGs, or the packed set of them, to float32 3 x 227 x 227; median of {runs} batches; "
        f"{machine['gpu'] or machine['processor']}, {machine['cores']} cores, torch {machine['torch']}."
    )


def inference(document: dict[str, Any]) -> str:
    lines = ["| network, batch | backend | precision | ms | images/s |", "| --- | --- | --- | --- | --- |"]
    for row in document["rows"]:
        what = (f"{row['network']}, {row['batch']}", row["backend"], row["precision"])
        lines.append(f"| {' | '.join(what)} | {row['median_ms']:.1f} | {row['images_per_s']:,.0f} |")
    return "\n".join(lines) + "\n"


def inference_note(document: dict[str, Any]) -> str:
    machine, runs = document["machine"], document["rows"][0]["runs"]
    where = machine["gpu"] or f"{machine['processor']}, {machine['cores']} cores"
    return f"Median of {runs} runs after warming up; {where}, onnxruntime {machine['onnxruntime-gpu']}; no decoding."


def train(document: dict[str, Any]) -> str:
    """ms, per image on a GPU and per batch on a CPU, as Caffe's own numbers were given; a mode without says why."""
    unit = "ms_per_image" if document["device"] == "cuda" else "median_ms"
    parts = {
        "forward": "forward",
        "forward_backward": "forward + backward",
        "step": "whole step",
        "step_from_packed": "from a packed set",
    }
    name = "ms an image" if unit == "ms_per_image" else "ms a batch"
    lines = [
        f"| network, batch | mode, {name} | {' | '.join(parts.values())} | memory |",
        f"| --- | --- | {'--- | ' * len(parts)}--- |",
    ]
    lines += [_caffes(*entry, list(parts)) for entry in _caffe_rows(document)]
    for row in document["rows"]:
        what = f"| {row['network']}, {row['batch']} | {row['mode']} |"
        if reason := row.get("failed") or row.get("skipped"):
            lines.append(f"{what} {reason} {'| ' * len(parts)}|")
            continue
        cells = [_milliseconds(row[part][unit]) if part in row else "" for part in parts]
        memory = f"{row['peak_memory_bytes'] / 1e9:.1f} GB" if "peak_memory_bytes" in row else ""
        lines.append(f"{what} {' | '.join([*cells, memory])} |")
    return "\n".join(lines) + "\n"


def _caffe_rows(document: dict[str, Any]) -> list[tuple[str, str, dict[str, float]]]:
    """What stands beside ours: a K40's ms an image, or Caffe's ms a batch on two cores where ours has that batch."""
    networks = {(row["network"], row["batch"]) for row in document["rows"]}
    if document["device"] == "cuda":
        named = sorted({name for name, _ in networks})
        known = document["k40_ms_per_image"]
        return [(name, "Caffe, K40 (2014)", known[name]) for name in named if name in known]
    known = document["caffe_cpu_ms"]
    return [
        (f"{name}, {batch}", "Caffe, 2 cores", known[name])
        for name, batch in sorted(networks)
        if known.get(name, {}).get("batch") == batch
    ]


def _caffes(what: str, mode: str, times: dict[str, float], parts: list[str]) -> str:
    cells = [_milliseconds(times[part]) if part in times else "" for part in parts]
    return f"| {what} | {mode} | {' | '.join(cells)} | |"


def _milliseconds(value: float) -> str:
    return f"{value:.4f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def train_note(document: dict[str, Any]) -> str:
    machine = document["machine"]
    runs = max((row["step"]["runs"] for row in document["rows"] if "step" in row), default=0)
    where = machine["gpu"] if document["device"] == "cuda" else f"{machine['processor']}, {document['threads']} threads"
    bf16 = "" if document["bf16_instructions"] else "; a processor without bf16 instructions"
    return (
        f"Median of at most {runs} runs after warming up; {where}{bf16}, torch {machine['torch']}; with dropout, "
        "momentum and decay; synthetic batches lie on the device."
    )


def headline(document: dict[str, Any]) -> str:
    """`trtdream bench --json`: each measured row, with the published figures that were of another size marked so."""
    lines = [
        "| what | part | batch | ms/image | published, ms/image | ratio |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in document["rows"]:
        if "ms_per_image" not in row:
            continue
        mark = " *" if row["doubts"] else ""
        cells = [row["name"], row["part"], str(row["images"]), f"{row['ms_per_image']:.3g}{mark}"]
        published = beside(row["name"], row["part"], row)
        figures = "; ".join(f"{one.ms_per_image:.3g} ({one.where})" for one in published)
        ratios = "; ".join(f"{one.ratio:.3g}" if one.ratio is not None else "-" for one in published)
        lines.append(f"| {' | '.join([*cells, figures, ratios])} |")
    return "\n".join(lines) + "\n"


def headline_note(document: dict[str, Any]) -> str:
    machine = document["machine"]
    where = machine["gpu"] or f"{machine['processor']}, {machine['threads']} threads"
    return f"`trtdream bench`: medians; {where}, torch {machine['torch']}; no ratio (-) beside another batch."


def dream(document: dict[str, Any]) -> str:
    lines = ["| the classic dream | precision | a step, ms | all four octaves, s |", "| --- | --- | --- | --- |"]
    for row in document["rows"]:
        whole = f"{row['dream']['median_ms'] / 1e3:.2f}" if "dream" in row else ""
        lines.append(f"| {row['form']} | {row['precision']} | {row['step']['median_ms']:.1f} | {whole} |")
    return "\n".join(lines) + "\n"


def dream_note(document: dict[str, Any]) -> str:
    machine, row = document["machine"], document["rows"][-1]
    where = machine["gpu"] or f"{machine['processor']}, {machine['threads']} threads"
    width, height = document["size"][::-1]
    return (
        f"GoogLeNet, inception_4c/output, {width} x {height}, 4 octaves of 10 steps; plain is torch as it comes. "
        f"Median of {row['step']['runs']} steps and {row['dream']['runs']} dreams after warming up; "
        f"{where}, torch {machine['torch']}."
    )


Writer = Callable[[dict[str, Any]], str]
TABLES: dict[str, tuple[Writer, Writer]] = {
    "forward.json": (forward, forward_note),
    "data_cpu.json": (data, data_note),
    "dream.json": (dream, dream_note),
    "inference.json": (inference, inference_note),
    "train_cpu.json": (train, train_note),
    "train_h100.json": (train, train_note),
    "headline.json": (headline, headline_note),
}


if __name__ == "__main__":
    main()
