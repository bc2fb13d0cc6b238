"""A 2014 training as it stands in its files: solver.prototxt, train_val.prototxt, LMDB, caffemodel, solverstate."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from trtdream.caffe.datum import raw_datum
from trtdream.caffe.lmdb import caffe_key, write_lmdb
from trtdream.caffe.solverstate import counted_steps, read_solverstate, write_solverstate
from trtdream.errors import InputRefused, UsageError
from trtdream.recipe.load import load_recipe
from trtdream.train.exchange import caffe_from_snapshot
from trtdream.train.metrics import read_metrics
from trtdream.train.run import Choice, Result, train
from trtdream.train.snapshot import read_snapshot
from trtdream.weights.weights import load_weights

# Caffe's documentation and parsers: tools/extra/parse_log.py reads these, FACTS section 9 gives the first
ITERATION = re.compile(r"Iteration (\d+)(?: \([^)]*\))?, loss = (\S+)")
OUTPUT = re.compile(r"(Train|Test) net output #(\d+): (\S+) = ([.\deE+-]+)")
RATE = re.compile(r"Iteration (\d+), lr = ([-+]?[0-9]*\.?[0-9]+([eE]?[-+]?[0-9]+)?)")
STAMP = re.compile(r"[IWEF](\d{2})(\d{2}) (\d{2}):(\d{2}):(\d{2})\.(\d{6}) +\d+ \S+\] ")


@dataclass(frozen=True)
class Run:
    folder: Path
    result: Result


@pytest.fixture(scope="module")
def files(truth: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The truth's files in a folder of their own, with the LMDB made again from its images."""
    folder = tmp_path_factory.mktemp("caffe")
    for name in ("net.prototxt", "solver_it1.prototxt", "mean.binaryproto", "initial.caffemodel"):
        shutil.copyfile(truth / "train" / name, folder / name)
    images = np.load(truth / "train/images.npz")
    pairs = zip(images["images_bgr_chw_uint8"], images["labels"], strict=True)
    values = [(caffe_key(i, f"{i:03d}.png"), raw_datum(image, int(label))) for i, (image, label) in enumerate(pairs)]
    write_lmdb(folder / "lmdb", values, 4 << 20)
    return folder


@pytest.fixture(scope="module")
def run(files: Path) -> Run:
    solver = files / "solver_it1.prototxt"
    recipe = load_recipe(solver, [f"net.weights={files / 'initial.caffemodel'}", f"run.folder={files / 'run'}"])
    return Run(files / "run", train(recipe))


def test_losses_and_scores_are_caffes(truth: Path, run: Run) -> None:
    lines = read_metrics(run.folder / "metrics.jsonl")
    losses = np.array([line.loss for line in lines if line.kind == "train"])
    noted = np.load(truth / "train/it1_run.npz")["loss_per_subbatch_float32"][:, 0]
    difference = np.abs(losses - noted)
    assert difference[:25].max() < 1e-3 and difference.max() < 1e-2
    for line, test in zip(
        [line for line in lines if line.kind == "test"],
        json.loads((truth / "train/info.json").read_text())["it1"]["test"],
        strict=True,
    ):
        assert line.iteration == test["iter"]
        assert line.outputs["loss"] == pytest.approx(test["loss"], abs=5e-3)
        assert line.outputs["accuracy"] == pytest.approx(test["accuracy"], abs=1.01 / 256)


def test_the_log_has_the_lines_of_caffes(truth: Path, run: Run) -> None:
    """Line by line what real Caffe wrote: the same kinds in the same order with the same iterations and names."""
    ours = (run.folder / "train.log").read_text()
    caffes = (truth / "train/train_it1.log").read_text()
    assert all(STAMP.match(line) for line in ours.splitlines())
    assert "Solving MiniCaffeNet" in ours and "Learning Rate Policy: step" in ours
    assert _told(ours) == _told(caffes)
    for (_, one), (_, other) in zip(ITERATION.findall(ours), ITERATION.findall(caffes), strict=True):
        assert float(one) == pytest.approx(float(other), abs=1e-2)
    assert [rate[1] for rate in RATE.findall(ours)] == [rate[1] for rate in RATE.findall(caffes)]


def _told(text: str) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for line in text.splitlines():
        if match := ITERATION.search(line):
            found.append(("iteration", match.group(1)))
        elif match := OUTPUT.search(line):
            found.append(match.groups()[:3])
        elif match := RATE.search(line):
            found.append(("rate", match.group(1)))
        elif match := re.search(r"Iteration (\d+), Testing net \(#(\d+)\)", line):
            found.append(("testing", *match.groups()))
    return found


def test_a_solverstate_is_read_and_written(truth: Path) -> None:
    content = (truth / "train/it1_iter_40.solverstate").read_bytes()
    state = read_solverstate(content, "it1")
    assert (state.iteration, state.current_step, state.learned_net) == (40, 1, "snap_it1/s_iter_40.caffemodel")
    momentum = np.load(truth / "train/it1_momentum.npz")
    names = [key for key in momentum.files if key.startswith("iter40/")]
    assert len(state.history) == len(names)
    for array, name in zip(state.history, names, strict=True):
        np.testing.assert_array_equal(array, momentum[name])
    assert write_solverstate(state) == content
    for broken in (content[:-9], b"no solverstate", b""):
        with pytest.raises(InputRefused):
            read_solverstate(broken, "broken")
    assert counted_steps("step", 40, 25, ()) == 1 and counted_steps("step", 25, 25, ()) == 0


def test_a_run_goes_on_from_caffes_own_snapshot(truth: Path, files: Path, tmp_path: Path) -> None:
    """From real Caffe's files of iteration 40: the next loss is the one that Caffe printed."""
    for suffix in ("caffemodel", "solverstate"):
        shutil.copyfile(truth / f"train/it1_iter_40.{suffix}", tmp_path / f"s_iter_40.{suffix}")
    overrides = ["solver.max_iter=41", f"run.folder={tmp_path / 'run'}"]
    recipe = load_recipe(files / "solver_it1.prototxt", overrides)
    train(recipe, Choice(resume=str(tmp_path / "s_iter_40.solverstate")))
    (line,) = [line for line in read_metrics(tmp_path / "run/metrics.jsonl") if line.kind == "train"]
    assert line.iteration == 40 and line.lr == pytest.approx(5e-5)
    caffes = json.loads((truth / "train/info.json").read_text())["it1"]["final_loss_after_40"]
    assert line.loss == pytest.approx(caffes, abs=2e-5)


def test_there_and_back(run: Run, files: Path, tmp_path: Path) -> None:
    """A snapshot, as Caffe's files, resumed from: the same weights and momentum, to the bit."""
    pair = caffe_from_snapshot(run.folder / "iter_40", tmp_path / "s_iter_40.solverstate")
    assert pair.caffemodel == tmp_path / "s_iter_40.caffemodel"
    snapshot = read_snapshot(run.folder / "iter_40")
    for layer, arrays in load_weights(pair.caffemodel).layers.items():
        for index, array in enumerate(arrays):
            np.testing.assert_array_equal(array, snapshot.weights[f"{layer}.{index}"].numpy())
    overrides = ["solver.max_iter=41", f"run.folder={tmp_path / 'run'}", "run.snapshot=0"]
    recipe = load_recipe(files / "solver_it1.prototxt", overrides)
    train(recipe, Choice(resume=str(pair.solverstate)))
    straight = load_recipe(files / "solver_it1.prototxt", ["solver.max_iter=41", f"run.folder={run.folder}"])
    train(straight, Choice(resume=str(run.folder / "iter_40")))
    one, other = read_snapshot(tmp_path / "run/iter_41"), read_snapshot(run.folder / "iter_41")
    for name, tensor in one.weights.items():
        assert torch.equal(tensor, other.weights[name]), name
    with pytest.raises(InputRefused, match="does not fit"):
        adam = load_recipe(files / "solver_it1.prototxt", ["solver.type=Adam", f"run.folder={tmp_path / 'adam'}"])
        train(adam, Choice(resume=str(pair.solverstate)))
    pair.caffemodel.unlink()
    with pytest.raises(UsageError, match="neither there nor beside it"):
        train(load_recipe(files / "solver_it1.prototxt", overrides), Choice(resume=str(pair.solverstate), force=True))
