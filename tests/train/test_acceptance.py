"""The shipped recipes, run to their end as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from trtdream.train.metrics import read_metrics

ROOT = Path(__file__).parents[2]


def _run(folder: Path, *arguments: object) -> Any:
    command = [sys.executable, "-m", "trtdream", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("OMP_NUM_THREADS", None)  # which the other tests set: here all cores are wanted
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


@pytest.mark.full
def test_quickstart_learns_what_is_drawn(tmp_path: Path) -> None:
    """At least 95 %; how long it took is printed (pytest -s), not asserted."""
    _run(tmp_path, "data", "synth", "shapes")
    start = time.perf_counter()
    found = _run(tmp_path, "train", ROOT / "recipes/quickstart.yaml", "--json")
    print(f"quickstart: {found['test']} in {time.perf_counter() - start:.0f} s")
    assert found["test"]["accuracy"] >= 0.95


@pytest.mark.full
def test_imagenette_begins_to_learn(shared: Path, tmp_path: Path) -> None:
    """From scratch, on folders of a class each, with random areas, jitter and smoothing; a smaller batch, few steps."""
    photographs = shared / "imagenette-mini"
    sets = [f"data.train.source={photographs / 'train'}", f"data.test.0.source={photographs / 'val'}"]
    short = ["data.train.batch=16", "solver.max_iter=60", "solver.base_lr=0.01", "solver.warmup=10", "run.snapshot=0"]
    shown = ["solver.display=1", "solver.average_loss=1", "solver.test_interval=0"]
    _run(tmp_path, "train", ROOT / "recipes/imagenette.yaml", *sets, *short, *shown)
    losses = [line.loss for line in read_metrics(tmp_path / "runs/imagenette/metrics.jsonl")]
    assert len(losses) == 60 and sum(losses[-15:]) < sum(losses[:15])
    assert (tmp_path / "runs/imagenette/batch.png").exists()


@pytest.mark.full
def test_finetune_on_real_photographs(shared: Path, tmp_path: Path) -> None:
    """At least 96 % top-1 on 250 photographs it has not seen."""
    photographs = shared / "imagenette-mini"
    sources = [
        f"data.train.source={photographs / 'train.txt'}",
        f"data.train.root={photographs / 'train'}",
        f"data.test.0.source={photographs / 'val.txt'}",
        f"data.test.0.root={photographs / 'val'}",
    ]
    weights = shared / "models/bvlc_googlenet.caffemodel"
    found = _run(tmp_path, "train", ROOT / "recipes/finetune.yaml", "--weights", weights, "--json", *sources)
    assert found["test"]["loss3/top-1"] >= 0.96
