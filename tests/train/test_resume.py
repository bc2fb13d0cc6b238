"""Going on from a snapshot gives the same bits as never having stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.train.small import losses, same_state, small_recipe, small_values
from trtdream.errors import InputRefused, UsageError
from trtdream.train.run import Choice, train
from trtdream.train.snapshot import list_snapshots, read_snapshot

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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_a_signal_keeps_a_snapshot_and_stops(drawn: Path, tmp_path: Path, number: int, code: int) -> None:
    folder = tmp_path / "run"
    values = small_values(drawn, folder, solver__max_iter=100_000, solver__test_interval=0)
    process = subprocess.Popen(_command(values, folder), stderr=subprocess.PIPE)
    _wait_for(lambda: (folder / "metrics.jsonl").exists() and len(losses(folder)) > 20, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors.decode()
    (snapshot,) = list_snapshots(folder)
    iteration = read_snapshot(snapshot).state.iteration
    assert iteration > 20
    straight = tmp_path / "straight"
    train(small_recipe(drawn, straight, solver__max_iter=iteration, solver__test_interval=0))
    same_state(snapshot, straight / snapshot.name)


def test_sighup_keeps_a_snapshot_and_goes_on(drawn: Path, tmp_path: Path) -> None:
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


def _kill_at_random(straight: Path, drawn: Path, folder: Path, kills: int, seed: int) -> None:
    """Kill a run again and again, always going on from the last snapshot, until it is done."""
    values = small_values(drawn, folder, precision=straight.name, run__snapshot=3)
    dice = random.Random(seed)
    for _ in range(kills):
        more = ["--resume", "latest"] if list_snapshots(folder) else []
        process = subprocess.Popen(_command(values, folder, *more), stderr=subprocess.PIPE)
        log = folder / "train.log"
        size = log.stat().st_size if log.exists() else 0
        _wait_for(lambda: log.exists() and log.stat().st_size > size, process)  # noqa: B023
        time.sleep(dice.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for snapshot in list_snapshots(folder):
            read_snapshot(snapshot)  # whole, every one
    more = ["--resume", "latest"] if list_snapshots(folder) else []
    done = subprocess.run(_command(values, folder, *more), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    same_state(folder / "iter_60", straight / "iter_60")


def test_killed(straight: Path, drawn: Path, tmp_path: Path) -> None:
    _kill_at_random(straight, drawn, tmp_path / "run", kills=2, seed=1)


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
    values = small_values(drawn, folder, solver__max_iter=12, run__snapshot=4, solver__test_interval=0)
    values["run"]["snapshot_after_train"] = False
    train(small_recipe(drawn, folder, solver__max_iter=4, run__snapshot=4, solver__test_interval=0))
    command = _command(values, folder, "--resume", "latest", "--json")
    limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 3; exec "$@"', "bash", *command]
    done = subprocess.run(limited, capture_output=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stderr.decode()
    assert "the snapshot was not written" in done.stderr.decode()
    assert "the last good snapshot is" in done.stderr.decode()
    assert json.loads(done.stdout)["iterations"] == 12
    assert [path.name for path in list_snapshots(folder)] == ["iter_4"]
    read_snapshot(folder / "iter_4")
