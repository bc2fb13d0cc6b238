from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.bench.slow import LIMITS
from trtdream.bench import training
from trtdream.bench.marked import PARTS
from trtdream.bench.training import rows_of_step, time_recipe, time_training
from trtdream.data.feed import Batch
from trtdream.data.loader import Loader
from trtdream.data.synth import synthesise
from trtdream.recipe.load import load_recipe
from trtdream.recipe.schema import Recipe

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """The quick start's, on a few small pictures, two at a time."""
    synthesise(tmp_path / "shapes", 10, 20, 10, 64)
    overrides = [f"data.train.source={tmp_path}/shapes/train.txt", "data.train.batch=2", "solver.display=2"]
    overrides += [f"data.test.0.source={tmp_path}/shapes/val.txt", f"run.folder={tmp_path}/run"]
    return load_recipe(ROOT / "recipes/quickstart.yaml", overrides)


def test_parts_of_a_step_and_nothing_left_behind(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loader that is slow by a known time is waited for, and shows in that part only."""
    slow_s = 0.1
    real = Loader.__next__

    def slowly(loader: Loader) -> Batch:
        time.sleep(slow_s)
        return real(loader)

    monkeypatch.setattr(Loader, "__next__", slowly)
    found = time_training(recipe, iterations=10)
    assert tuple(found.parts) == PARTS
    assert found.display == 2
    medians = {part: timing.median_ms for part, timing in found.parts.items()}
    assert medians["wait for data"] >= slow_s * 1e3
    assert max(medians, key=medians.__getitem__) == "wait for data"
    assert found.whole.median_ms >= slow_s * 1e3
    assert not (tmp_path / "run").exists()
    rows = rows_of_step(found, LIMITS)
    assert [row.part for row in rows] == [*PARTS, "whole"]
    assert [row.part for row in rows if "of_limit" in row.extra] == ["forward", "backward", "update", "whole"]


def test_a_batch_that_does_not_fit_is_halved(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[int] = []

    def refuse(recipe: Recipe, *_: object) -> Sequence[int]:
        tried.append(recipe.data.train.batch)
        if tried[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tried

    monkeypatch.setattr(training, "time_training", refuse)
    time_recipe(recipe, 10)
    assert tried == [2, 1]
    assert "batch 2 does not fit into memory, 1 is tried" in capsys.readouterr().err
