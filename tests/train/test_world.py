"""Two processes as one: gloo on the CPU, started by torchrun as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.train.small import losses, same_state, small_recipe, small_values
from trtdream.train.metrics import read_metrics
from trtdream.train.run import train
from trtdream.train.snapshot import read_snapshot


def _torchrun(recipe: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "-m", "trtdream", "train", str(recipe), *more], capture_output=True, text=True, env=environment
    )


def _without_dropout(folder: Path) -> None:
    net = folder / "small.prototxt"
    net.write_text(net.read_text().replace("dropout_ratio: 0.3", "dropout_ratio: 0.0"))


def test_two_ranks_train_what_one_does_and_resume_exactly(drawn: Path, tmp_path: Path) -> None:
    changes = {"data__train__batch": 16, "solver__max_iter": 20, "solver__test_interval": 10, "run__snapshot": 9}
    one = small_recipe(drawn, tmp_path / "one", **changes)
    _without_dropout(tmp_path)
    train(one)
    recipe = tmp_path / "two.yaml"
    recipe.write_text(yaml.safe_dump(small_values(drawn, tmp_path / "two", **changes)))
    done = _torchrun(recipe, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["iterations"] == 20  # one process speaks
    assert {path.name for path in (tmp_path / "two").glob("train*.log")} == {"train.log", "train.1.log"}
    first, second = read_snapshot(tmp_path / "one/iter_20"), read_snapshot(tmp_path / "two/iter_20")
    assert second.state.ranks == 2 and first.state.positions == second.state.positions
    for name, tensor in first.weights.items():
        np.testing.assert_allclose(second.weights[name].numpy(), tensor.numpy(), rtol=0, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-5)
    tests = [
        [line.outputs for line in read_metrics(tmp_path / name / "metrics.jsonl") if line.kind == "test"]
        for name in ("one", "two")
    ]
    assert [line["accuracy"] for line in tests[0]] == pytest.approx([line["accuracy"] for line in tests[1]])
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(small_values(drawn, tmp_path / "again", **changes)))
    assert _torchrun(again, "--resume", str(tmp_path / "two/iter_9")).returncode == 0
    same_state(tmp_path / "again/iter_20", tmp_path / "two/iter_20")


def test_a_batch_that_cannot_be_shared_is_refused(drawn: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "odd.yaml"
    recipe.write_text(yaml.safe_dump(small_values(drawn, tmp_path / "odd", data__train__batch=15)))
    done = _torchrun(recipe)
    assert done.returncode != 0
    assert "batch: 15 cannot be split evenly over 2 ranks" in done.stderr
    assert not (tmp_path / "odd").exists()
