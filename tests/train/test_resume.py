"""Going on from a snapshot gives the same bits as never having stopped."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.train.processes import train_away
from tests.train.small import losses, same_state, small_recipe, small_values
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.train.evaluate import Tester
from trtdream.train.log import Values
from trtdream.train.metrics import read_metrics
from trtdream.train.run import Choice, train
from trtdream.train.snapshot import iteration_of, list_snapshots, read_snapshot

PRECISIONS = ["float32", "bf16"]


@pytest.fixture(scope="module", params=PRECISIONS)
def straight(request: pytest.FixtureRequest, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 60 iterations that nothing stopped."""
    folder = tmp_path_factory.mktemp("straight") / request.param
    train(small_recipe(drawn, folder, precision=request.param))
    assert len(losses(folder)) == 57  # the last display is at iteration 56
    return folder


def _stop_and_go_on(straight: Path, drawn: Path, folder: Path, stops: list[int]) -> None:
    precision = straight.name
    for index, stop in enumerate([*stops, 60]):
        recipe = small_recipe(drawn, folder, precision=precision, solver__max_iter=stop)
        train(recipe, Choice(resume="latest" if index else None))
    same_state(folder / "iter_60", straight / "iter_60")
    assert losses(folder) == losses(straight)


@pytest.mark.parametrize("seed", range(2))
def test_stopped_twice_at_random_iterations(straight: Path, drawn: Path, tmp_path: Path, seed: int) -> None:
    """Batches of 10 from 48 pictures: nearly every iteration is in the middle of an epoch, or lies across its end."""
    stops = sorted(random.Random(seed).sample(range(1, 60), 2))
    _stop_and_go_on(straight, drawn, tmp_path / "run", stops)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(20))
def test_stopped_at_twenty_random_iterations(straight: Path, drawn: Path, tmp_path: Path, seed: int) -> None:
    _stop_and_go_on(straight, drawn, tmp_path / "run", [random.Random(100 + seed).randrange(1, 60)])


@pytest.mark.gpu
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("graph", [True, False])
def test_on_a_gpu_if_it_is_to_be_deterministic(drawn: Path, tmp_path: Path, precision: str, graph: bool) -> None:
    """Dropout inside a replayed graph too; the run stops before, while and after the graph is recorded."""
    changes = {"precision": precision, "run__device": "cuda", "run__deterministic": True, "speed__cuda_graph": graph}
    try:
        train(small_recipe(drawn, tmp_path / "straight", **changes))
        for index, stop in enumerate((2, 4, 37, 60)):
            recipe = small_recipe(drawn, tmp_path / "run", solver__max_iter=stop, **changes)
            train(recipe, Choice(resume="latest" if index else None))
    finally:
        torch.use_deterministic_algorithms(False)
    same_state(tmp_path / "run/iter_60", tmp_path / "straight/iter_60")
    assert losses(tmp_path / "run") == losses(tmp_path / "straight")


@pytest.mark.parametrize("kind", ["Adam", "AdaDelta"])
def test_solvers_of_two_buffers(drawn: Path, tmp_path: Path, kind: str) -> None:
    for name, stops in (("straight", [30]), ("stopped", [11, 30])):
        for stop in stops:
            recipe = small_recipe(drawn, tmp_path / name, solver__type=kind, solver__max_iter=stop, solver__iter_size=2)
            train(recipe, Choice(resume="latest" if stop != stops[0] else None))
    same_state(tmp_path / "stopped/iter_30", tmp_path / "straight/iter_30")


def _command(values: dict[str, Any], folder: Path, *more: str) -> list[str]:
    recipe = folder.parent / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values))
    return [sys.executable, "-m", "trtdream", "train", str(recipe), *more]


def _wait_for(condition: Any, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def test_sigterm_keeps_a_snapshot_and_stops(drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    values = small_values(drawn, folder, solver__max_iter=100_000, solver__test_interval=0)
    process = subprocess.Popen(_command(values, folder), stderr=subprocess.PIPE)
    _wait_for(lambda: (folder / "metrics.jsonl").exists() and len(losses(folder)) > 20, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors.decode()
    assert "--resume latest goes on" in errors.decode()
    (snapshot,) = list_snapshots(folder)
    iteration = read_snapshot(snapshot).state.iteration
    assert iteration > 20
    straight = tmp_path / "straight"
    train(small_recipe(drawn, straight, solver__max_iter=iteration, solver__test_interval=0))
    same_state(snapshot, straight / snapshot.name)


def test_sighup_keeps_a_snapshot_and_goes_on_till_sigint(drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    values = small_values(drawn, folder, solver__max_iter=100_000, solver__test_interval=0)
    process = subprocess.Popen(_command(values, folder), stderr=subprocess.PIPE)
    _wait_for(lambda: (folder / "metrics.jsonl").exists() and len(losses(folder)) > 5, process)
    process.send_signal(signal.SIGHUP)
    _wait_for(lambda: list_snapshots(folder), process)
    seen = len(losses(folder))
    _wait_for(lambda: len(losses(folder)) > seen + 20, process)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(list_snapshots(folder)) == 2


def _during(monkeypatch: pytest.MonkeyPatch, test: int, do: Callable[[], object]) -> None:
    """Do something in the middle of the test `test` (counted from 0) of a run."""
    run, tests = Tester.run, iter(range(1000))

    def disturbed(self: Tester, each: Callable[..., None] | None = None) -> Values:
        if next(tests) == test:
            do()
        return run(self, each)

    monkeypatch.setattr(Tester, "run", disturbed)


def test_a_test_is_abandoned_to_stop_and_run_again(
    straight: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test may take minutes; whoever wants to stop need not wait for it."""
    recipe = small_recipe(drawn, tmp_path / "run", precision=straight.name)
    with monkeypatch.context() as patch:
        _during(patch, 1, lambda: signal.raise_signal(signal.SIGINT))
        stopped = train(recipe)
    assert stopped.iterations == 30 and "stopped after 30 iterations" in stopped.stopped
    train(recipe, Choice(resume="latest"))
    same_state(tmp_path / "run/iter_60", straight / "iter_60")
    tested = [
        [(line.iteration, line.outputs) for line in read_metrics(folder / "metrics.jsonl") if line.kind == "test"]
        for folder in (tmp_path / "run", straight)
    ]
    assert tested[0] == tested[1]


def test_a_stop_that_can_keep_nothing_says_so(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody removed the run's folder, and a file has its name."""
    folder = tmp_path / "run"

    def disturb() -> None:
        shutil.rmtree(folder)
        folder.touch()
        signal.raise_signal(signal.SIGTERM)

    _during(monkeypatch, 1, disturb)
    wanted = r"stopped after 30 iterations; no snapshot was written, the last good one is none"
    with pytest.raises(TrtdreamError, match=wanted) as caught:
        train(small_recipe(drawn, folder))
    assert caught.value.exit_code == 1


def _kill_at_random(straight: Path, drawn: Path, folder: Path, kills: int, seed: int) -> None:
    """Kill a run again and again, up to 8 iterations after it went on from its last snapshot, until it is done."""
    recipe = small_recipe(drawn, folder, precision=straight.name, run__snapshot=3, solver__display=1)
    dice, history, log = random.Random(seed), [], folder / "train.log"

    def latest() -> int | None:
        return iteration_of(list_snapshots(folder)[-1]) if list_snapshots(folder) else None

    for _ in range(kills):
        start, size = latest(), log.stat().st_size if log.exists() and latest() else 0
        run = train_away(recipe, Choice(resume="latest" if start else None))
        awaited = f"Iteration {(start or 0) + dice.randrange(9)} ".encode()
        while run.process.is_alive() and not (log.exists() and awaited in log.read_bytes()[size:]):
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.05))
        run.kill()
        history.append((start, run.process.exitcode, sorted(path.name for path in folder.glob("*iter_*"))))
        for snapshot in list_snapshots(folder):
            read_snapshot(snapshot)  # whole, every one
    train_away(recipe, Choice(resume="latest" if latest() else None)).finish()
    print(f"kills: {history}")  # shown when what follows fails
    same_state(folder / "iter_60", straight / "iter_60")
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.full
def test_killed(straight: Path, drawn: Path, tmp_path: Path) -> None:
    _kill_at_random(straight, drawn, tmp_path / "run", kills=3, seed=1)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(5))
def test_killed_fifty_times(straight: Path, drawn: Path, tmp_path: Path, seed: int) -> None:
    _kill_at_random(straight, drawn, tmp_path / "run", kills=10, seed=seed)


def test_a_damaged_snapshot_is_refused_and_the_one_before_offered(drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(small_recipe(drawn, folder, solver__max_iter=6, run__snapshot=3))
    for name in ("training.safetensors", "weights.safetensors", "snapshot.json", "network.prototxt"):
        file = folder / "iter_6" / name
        whole = file.read_bytes()
        broken = bytearray(whole)
        broken[len(broken) // 2] ^= 1
        file.write_bytes(bytes(broken))
        with pytest.raises(InputRefused, match=r"iter_6: is damaged.*--resume .*iter_3"):
            train(small_recipe(drawn, folder), Choice(resume="latest"))
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputRefused, match="is damaged"):
            read_snapshot(folder / "iter_6")
        file.write_bytes(whole)
    read_snapshot(folder / "iter_6")
    (folder / "iter_6/training.safetensors").unlink()
    with pytest.raises(InputRefused, match="--force") as refused:
        read_snapshot(folder / "iter_6")
    offered = str(refused.value).split("--resume ")[1].split(" --force")[0]
    train(small_recipe(drawn, folder, solver__max_iter=6, run__snapshot=3), Choice(resume=offered, force=True))
    assert read_snapshot(folder / "iter_6").state.iteration == 6


def test_a_snapshot_of_another_net_is_refused(drawn: Path, tmp_path: Path) -> None:
    train(small_recipe(drawn, tmp_path / "run", solver__max_iter=2))
    other = tmp_path / "other.prototxt"
    other.write_text((tmp_path / "small.prototxt").read_text().replace("num_output: 8", "num_output: 9"))
    recipe = small_recipe(drawn, tmp_path / "run", net__path=str(other))
    with pytest.raises(InputRefused, match="another net"):
        train(recipe, Choice(resume="latest"))
    with pytest.raises(InputRefused, match="was trained by SGD, the recipe says Adam"):
        train(small_recipe(drawn, tmp_path / "run", solver__type="Adam"), Choice(resume="latest"))


def test_a_run_is_not_mixed_with_another_by_accident(drawn: Path, tmp_path: Path) -> None:
    recipe = small_recipe(drawn, tmp_path / "run", solver__max_iter=2)
    train(recipe)
    with pytest.raises(UsageError, match="holds a run already"):
        train(recipe)
    train(recipe, Choice(force=True))
    assert train(recipe, Choice(resume="latest")).iterations == 2  # nothing left to do
    with pytest.raises(UsageError, match="no snapshot to resume from"):
        train(small_recipe(drawn, tmp_path / "nothing"), Choice(resume="latest"))


def test_going_back_does_not_leave_later_snapshots_to_be_mistaken(drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(small_recipe(drawn, folder, solver__max_iter=6, run__snapshot=2))
    back = small_recipe(drawn, folder, solver__max_iter=3)
    with pytest.raises(UsageError, match=r"later snapshots than iteration 2 \(up to iter_6\)"):
        train(back, Choice(resume=str(folder / "iter_2")))
    train(back, Choice(resume=str(folder / "iter_2"), force=True))
    assert [path.name for path in list_snapshots(folder)] == ["iter_2", "iter_3"]


def test_only_the_newest_are_kept(drawn: Path, tmp_path: Path) -> None:
    train(small_recipe(drawn, tmp_path / "run", solver__max_iter=9, run__snapshot=2, run__keep=2))
    assert [path.name for path in list_snapshots(tmp_path / "run")] == ["iter_8", "iter_9"]
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]


def test_a_full_disk_does_not_end_the_run(drawn: Path, tmp_path: Path) -> None:
    """The kernel refuses files of more than a few kB, as a full disk would; the run says so and goes on."""
    folder = tmp_path / "run"
    changes = {"run__snapshot": 4, "solver__test_interval": 0, "run__snapshot_after_train": False}
    train(small_recipe(drawn, folder, solver__max_iter=4, **changes))
    recipe = small_recipe(drawn, folder, solver__max_iter=12, **changes)
    said = train_away(recipe, Choice(resume="latest"), largest_file=3072).finish()
    faults = [text for text in said if "the snapshot was not written" in text]
    assert len(faults) == 2 and all("the last good snapshot is" in text for text in faults), said
    assert said[-1] == "Optimization Done."
    assert [path.name for path in list_snapshots(folder)] == ["iter_4"]
    read_snapshot(folder / "iter_4")
    train(recipe, Choice(resume="latest"))  # with room again
    assert [path.name for path in list_snapshots(folder)] == ["iter_4", "iter_8", "iter_12"]
