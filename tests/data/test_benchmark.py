"""The measuring program runs; what it measures is nobody's assertion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.full
def test_benchmark_runs(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    options = ["--images", "60", "--runs", "2", "--batch", "8", "--threads", "2", "-o", str(tmp_path / "it.json")]
    program = "import runpy, sys; sys.argv[0] = 'data.py'; runpy.run_path('benchmarks/data.py', run_name='__main__')"
    subprocess.run([sys.executable, "-c", program, *options], cwd=root, check=True, capture_output=True)
    said = json.loads((tmp_path / "it.json").read_text())
    names = [row["source"] for row in said["rows"]]
    assert names == ["files", "packed, page cache", "packed, from disk", "packed, on the device"]
    assert all(row["images_per_s"] > 0 for row in said["rows"])
    assert said["machine"]["cores"] >= 1
