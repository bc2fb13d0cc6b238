from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from tests.bench.programs import program
from trtdream.bench.results import Result, Row, per_image
from trtdream.bench.timing import timing_of


def test_jobs_that_write_fail_and_are_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_all = program("run_all", monkeypatch)
    writes = [sys.executable, "-c", "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('{}')"]
    fails = [sys.executable, "-c", "raise SystemExit('no space')"]
    sleeps = [sys.executable, "-c", "import time; time.sleep(60)"]
    end = time.monotonic() + 30
    assert run_all.run(run_all.Job("a", writes), tmp_path / "a.json", end)
    assert (tmp_path / "a.json").read_text() == "{}"
    assert not run_all.run(run_all.Job("b", fails), tmp_path / "b.json", end)
    assert not run_all.run(run_all.Job("c", sleeps), tmp_path / "c.json", time.monotonic() + 1.5)
    assert not run_all.run(run_all.Job("d", writes), tmp_path / "d.json", time.monotonic())
    said = capsys.readouterr().err
    for text in ("b: failed: no space", "c: left out, it did not end", "d: left out, no time is left"):
        assert text in said


@pytest.mark.parametrize(
    ("gpu", "place"), [(None, "cpu"), ("NVIDIA H100 80GB HBM3", "h100"), ("NVIDIA GeForce RTX 4090", "gpu")]
)
def test_every_result_has_a_name_of_its_own_and_a_program(
    gpu: str | None, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = program("run_all", monkeypatch).jobs(gpu)
    assert f"train_{place}" in [job.name for job in jobs]
    assert len({job.name for job in jobs}) == len(jobs)
    assert any("tensorrt" in job.command for job in jobs) is (gpu is not None)
    assert all(Path(job.command[1]).exists() for job in jobs if job.command[1].endswith(".py"))


def test_a_readme_table_of_the_headline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ratio beside the K40's batch, none beside another; what was not measured has no line."""
    measured = timing_of([25.6, 25.6, 25.6])
    rows = [
        Row("caffenet", "forward", measured, extra=per_image(measured, 256)),
        Row("googlenet", "forward", measured, extra=per_image(measured, 1)),
        Row("dream", "step", None, "no"),
    ]
    (tmp_path / "headline.json").write_text(json.dumps(Result("headline", {}, rows).document()))
    lines = program("readme_tables", monkeypatch).render(tmp_path / "headline.json").splitlines()
    assert lines[2] == "| caffenet | forward | 256 | 0.1 | 2 (K40, 2014, batch 256) | 0.05 |"
    assert lines[3].endswith("(K40c, cuDNN, batch 128) | - |")
    assert len([line for line in lines if line.startswith("|")]) == 4
