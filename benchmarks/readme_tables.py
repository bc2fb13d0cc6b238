"""Writes README.md's tables from benchmarks/results/*.json, so that no number there is typed by hand.

python benchmarks/readme_tables.py           rewrite the tables
python benchmarks/readme_tables.py --check   only say whether they are what the results say (exit 1 if not)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from caffe_time import CAFFE, ELSEWHERE_MS

from trtdream.bench.headline import beside
from trtdream.bench.history import figures
from trtdream.bench.results import read_results
from trtdream.errors import TrtdreamError
from trtdream.files import write_file

Document = dict[str, Any]
ROOT = Path(__file__).resolve().parents[1]
_TABLE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def main() -> None:
    readme = ROOT / "README.md"
    before = readme.read_text()
    after = _TABLE.sub(_rewritten, before)
    if "--check" in sys.argv:
        sys.exit(after != before)
    write_file(readme, after)


def _rewritten(found: re.Match[str]) -> str:
    """A table anew; one whose result is missing, or of another version, stays."""
    try:
        return f"{found[1]}{render(ROOT / found[2])}{found[3]}"
    except TrtdreamError as error:
        print(f"{found[2]}: its table stays: {error}", file=sys.stderr)
        return found[0]


def render(result: Path) -> str:
    """The markdown of a result's table, and the machine below it."""
    document = read_results(result)
    table, note = TABLES[result.name]
    return f"{table(document)}\n{note(document)}\n\n"


def forward(document: Document) -> str:
    caffe = caffes_title(document)
    lines = [
        f"| network, batch | forward, ms | {caffe} | | forward and gradient to the picture, ms | {caffe} | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows = rows_of(document)
    for name in dict.fromkeys(name for name, _ in rows):
        cells = [name.replace(", batch", ",")]
        for part in ("forward", "forward + backward"):
            ours, caffes = rows[name, part]["median_ms"], caffes_ms(rows, name, part)
            cells += [f"{ours:.1f}", f"{caffes:.1f}", f"{ours / caffes:.0%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def forward_note(document: Document) -> str:
    """Hardware, versions and repetitions, without which the numbers say nothing."""
    runs = next(row["runs"] for row in measured(document))
    return f"Median of {runs} runs after warming up; {place(document)}, float32; no copies, no decoding."


def data(document: Document) -> str:
    rows = {key: row for key, row in rows_of(document).items() if "images" in row}
    parts = sorted(dict.fromkeys(part for _, part in rows), key=lambda part: [int(n) for n in re.findall(r"\d+", part)])
    lines = [f"| images/s | {' | '.join(parts)} |", f"| --- | {' | '.join('---' for _ in parts)} |"]
    for source in dict.fromkeys(name for name, _ in rows):
        cells = [f"{rows[source, part]['images_per_s']:,.0f}" if (source, part) in rows else "" for part in parts]
        lines.append(f"| {source} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def data_note(document: Document) -> str:
    runs = measured(document)[0]["runs"]
    return (
        f"256 x 256 JPEGs, or the packed set of them, to float32 3 x 227 x 227; median of {runs} batches; "
        f"{place(document)}."
    )


def inference(document: Document) -> str:
    lines = ["| network, batch | backend | precision | ms | images/s |", "| --- | --- | --- | --- | --- |"]
    for row in measured(document):
        what = (f"{row['network']}, {row['images']}", row["backend"], row["precision"])
        lines.append(f"| {' | '.join(what)} | {row['median_ms']:.1f} | {row['images_per_s']:,.0f} |")
    return "\n".join(lines) + "\n"


def inference_note(document: Document) -> str:
    machine, runs = document["machine"], measured(document)[0]["runs"]
    return f"Median of {runs} runs after warming up; {place(document)}, onnxruntime {machine['onnxruntime-gpu']}."


def train(document: Document) -> str:
    """ms, per image on a GPU and per batch on a CPU, as Caffe's own numbers were given; a mode without says why."""
    on_gpu, batch = document["settings"]["device"] == "cuda", document["settings"]["batch"]
    parts = ("forward", "forward + backward", "step", "step from a packed set")
    lines = [
        f"| network, batch | mode, ms {'an image' if on_gpu else 'a batch'} | {' | '.join(parts)} | memory |",
        f"| --- | --- | {'--- | ' * len(parts)}--- |",
    ]
    rows = rows_of(document)
    modes = dict.fromkeys(name for name, part in rows if not part.endswith(CAFFE))
    for network in dict.fromkeys(name.partition(", ")[0] for name in modes):
        lines += _caffes_lines(network, batch, document, parts)
    for name in modes:
        network, _, mode = name.partition(", ")
        found = {part: rows[name, part] for part in parts if (name, part) in rows}
        what = f"| {network}, {batch} | {mode} |"
        if absent := [row["absent"] for row in found.values() if "absent" in row]:
            lines.append(f"{what} {absent[0]} {'| ' * len(parts)}|")
            continue
        unit = "ms_per_image" if on_gpu else "median_ms"
        cells = [_milliseconds(found[part][unit]) if part in found else "" for part in parts]
        peak = found["step"].get("peak_bytes")
        lines.append(f"{what} {' | '.join([*cells, f'{peak / 1e9:.1f} GB' if peak else ''])} |")
    return "\n".join(lines) + "\n"


def _caffes_lines(network: str, batch: int, document: Document, parts: Sequence[str]) -> list[str]:
    """What stands beside ours: a K40's ms an image beside a GPU's, Caffe's ms a batch beside a CPU's."""
    if document["settings"]["device"] == "cuda":
        known = {part: figure for part in parts for figure in figures(network, part) if figure.where.startswith("K40")}
        cells = [_milliseconds(known[part].ms_per_image) if part in known else "" for part in parts]
        return [f"| {network} | Caffe, K40 (2014) | {' | '.join(cells)} | |"] if known else []
    rows, name = rows_of(document), f"{network}, batch {batch}"
    found = [caffes_ms(rows, name, part) for part in parts]
    cells = [_milliseconds(value) if value else "" for value in found]
    return [f"| {network}, {batch} | {caffes_title(document)} | {' | '.join(cells)} | |"] if any(found) else []


def _milliseconds(value: float) -> str:
    return f"{value:.4f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def train_note(document: Document) -> str:
    runs = max((row["runs"] for row in measured(document) if row["part"] == "step"), default=0)
    bf16 = "" if document["settings"]["bf16_instructions"] else "; a processor without bf16 instructions"
    return (
        f"Median of at most {runs} runs after warming up; {place(document)}{bf16}; with dropout, "
        "momentum and decay; synthetic batches lie on the device."
    )


def headline(document: Document) -> str:
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


def headline_note(document: Document) -> str:
    return f"`trtdream bench`: medians; {place(document)}; no ratio (-) beside another batch."


def dream(document: Document) -> str:
    lines = ["| the classic dream | precision | a step, ms | all four octaves, s |", "| --- | --- | --- | --- |"]
    rows = rows_of(document)
    if caffes := caffes_ms(rows, "dream", "step"):
        lines.append(f"| {caffes_title(document)} | float32 | {caffes:.1f} | |")
    for (name, part), row in rows.items():
        if part != "step":
            continue
        form, _, precision = name.partition(", ")
        whole = f"{rows[name, 'dream']['median_ms'] / 1e3:.2f}" if (name, "dream") in rows else ""
        lines.append(f"| {form} | {precision} | {row['median_ms']:.1f} | {whole} |")
    return "\n".join(lines) + "\n"


def dream_note(document: Document) -> str:
    runs = {row["part"]: row["runs"] for row in measured(document)}
    return (
        f"GoogLeNet, inception_4c/output, {document['settings']['size']}, 4 octaves of 10 steps; plain is torch as it"
        f" comes. Median of {runs['step']} steps after warming up and {runs['dream']} dreams; {place(document)}."
    )


def rows_of(document: Document) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["name"], row["part"]): row for row in document["rows"]}


def measured(document: Document) -> list[dict[str, Any]]:
    return [row for row in document["rows"] if "absent" not in row]


def caffes_ms(rows: Mapping[tuple[str, str], Mapping[str, Any]], name: str, part: str) -> float | None:
    """Of the same machine, or where no binary of Caffe was given there, of another."""
    beside_ours = rows.get((name, f"{part}, {CAFFE}"), {})
    return beside_ours.get("median_ms", ELSEWHERE_MS.get((name, part)))


def caffes_title(document: Document) -> str:
    here = any(row["part"].endswith(CAFFE) for row in measured(document))
    return f"real Caffe, {'same machine' if here else 'another machine with two cores'}"


def place(document: Document) -> str:
    machine = document["machine"]
    where = machine["gpu"] or f"{machine['processor']}, {machine['instructions']}, {machine['threads']} threads"
    return f"{where}, torch {machine['torch']}"


Writer = Callable[[Document], str]
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
