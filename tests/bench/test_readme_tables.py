"""README.md's tables: what stands beside ours, and that it is said whose machine it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

from tests.bench.programs import PROGRAMS, program
from trtdream.bench.results import Result, Row, per_image
from trtdream.bench.timing import timing_of


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return program("readme_tables", monkeypatch)


def row(name: str, part: str, milliseconds: float, images: int = 10, **extra: object) -> Row:
    timing = timing_of([milliseconds] * 3)
    return Row(name, part, timing, extra={**per_image(timing, images), **extra})


def lines(tables: ModuleType, folder: Path, name: str, rows: Sequence[Row], **settings: object) -> list[str]:
    what = f"benchmarks/{name.partition('_')[0]}"
    (folder / f"{name}.json").write_text(json.dumps(Result(what, settings, rows).document()))
    found: str = tables.render(folder / f"{name}.json")
    return [line for line in found.splitlines() if line.startswith("|")]


CASE = "googlenet, batch 10"
OURS = [row(CASE, "forward", 248.3), row(CASE, "forward + backward", 500)]


def test_caffe_of_the_same_machine(tables: ModuleType, tmp_path: Path) -> None:
    parts = ("forward", "forward + backward")
    caffes = [row(CASE, f"{part}, real Caffe", ms) for part, ms in zip(parts, (496.6, 2000), strict=True)]
    heading, _, found = lines(tables, tmp_path, "forward", [*OURS, *caffes])
    assert heading.count("real Caffe, same machine") == 2
    assert found == "| googlenet, 10 | 248.3 | 496.6 | 50% | 500.0 | 2000.0 | 25% |"


def test_caffe_of_another_machine(tables: ModuleType, tmp_path: Path) -> None:
    caffes = [Row(CASE, f"{part}, real Caffe", None, "no binary") for part in ("forward", "forward + backward")]
    heading, _, found = lines(tables, tmp_path, "forward", [*OURS, *caffes])
    assert heading.count("real Caffe, another machine") == 2
    assert found == "| googlenet, 10 | 248.3 | 496.6 | 50% | 500.0 | 1097.8 | 46% |"


def test_training_on_a_cpu(tables: ModuleType, tmp_path: Path) -> None:
    rows = [
        row("caffenet, float32", "forward", 300),
        row("caffenet, float32", "forward + backward", 640),
        row("caffenet, float32", "step", 700, peak_bytes=2 * 10**9),
        row("caffenet, float32", "step from a packed set", 710),
        Row("caffenet, bf16", "step", None, "this CPU has no instructions for bf16"),
        row("caffenet, batch 10", "forward, real Caffe", 450),
        row("caffenet, batch 10", "forward + backward, real Caffe", 1200),
    ]
    found = lines(tables, tmp_path, "train_cpu", rows, device="cpu", batch=10, bf16_instructions=False)
    assert found[0].startswith("| network, batch | mode, ms a batch | forward | forward + backward | step |")
    assert found[2:] == [
        "| caffenet, 10 | real Caffe, same machine | 450 | 1200 |  |  | |",
        "| caffenet, 10 | float32 | 300 | 640 | 700 | 710 | 2.0 GB |",
        "| caffenet, 10 | bf16 | this CPU has no instructions for bf16 | | | | |",
    ]


def test_training_on_a_gpu(tables: ModuleType, tmp_path: Path) -> None:
    """Milliseconds an image, beside a K40's."""
    rows = [row("caffenet, bf16 graph", "forward", 2.56, 256), row("caffenet, bf16 graph", "step", 7.68, 256)]
    found = lines(tables, tmp_path, "train_h100", rows, device="cuda", batch=256, bf16_instructions=True)
    assert found[2:] == [
        "| caffenet | Caffe, K40 (2014) | 2.0 |  | 5.2 |  | |",
        "| caffenet, 256 | bf16 graph | 0.0100 |  | 0.0300 |  |  |",
    ]


def test_dreams(tables: ModuleType, tmp_path: Path) -> None:
    rows = [
        row("plain, float32", "step", 1900),
        row("as it is done, float32", "step", 1000),
        row("as it is done, float32", "dream", 21000),
        Row("dream", "step, real Caffe", None, "no binary"),
    ]
    assert lines(tables, tmp_path, "dream", rows, size="1024 x 575")[2:] == [
        "| real Caffe, another machine with two cores | float32 | 1280.0 | |",
        "| plain | float32 | 1900.0 |  |",
        "| as it is done | float32 | 1000.0 | 21.00 |",
    ]


def test_data_and_inference(tables: ModuleType, tmp_path: Path) -> None:
    rows = [
        row("files", "1 thread, batch 64", 64, 64),
        row("files", "2 threads, batch 64", 32, 64),
        Row("packed, on the device", "1 thread, batch 64", None, "no room"),
        Row("a step of 25,000 images/s", "wait for the packed set", timing_of([1.0]), extra={"share": 0.1}),
    ]
    found = lines(tables, tmp_path, "data_cpu", rows)
    assert (found[0], found[2:]) == (
        "| images/s | 1 thread, batch 64 | 2 threads, batch 64 |",
        ["| files | 1,000 | 2,000 |"],
    )
    about = {"network": "googlenet", "backend": "torch cpu", "precision": "fp32"}
    rows = [row("googlenet, batch 8", "torch cpu, fp32", 80, 8, **about), Row("googlenet, batch 8", "b", None, "no")]
    assert lines(tables, tmp_path, "inference", rows)[2:] == ["| googlenet, 8 | torch cpu | fp32 | 80.0 | 100 |"]


@pytest.mark.parametrize("path", sorted((PROGRAMS / "results").glob("*.json")), ids=lambda path: path.name)
def test_the_results_that_are_kept(tables: ModuleType, path: Path) -> None:
    """Of this version's schema; those that README.md shows have their table."""
    schema = json.loads((files("trtdream.bench") / "results.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_text()))
    if path.name in tables.TABLES:
        assert tables.render(path).startswith("|")
