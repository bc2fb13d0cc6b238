"""What happens around an iteration."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.train.small import losses, small_recipe
from trtdream.data.synth import class_name
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.net.kind import Phase
from trtdream.net.kinds.probability import Accuracy
from trtdream.net.zoo import build
from trtdream.runtime.image import load_image
from trtdream.runtime.open_model import open_model
from trtdream.runtime.preprocess import preprocess
from trtdream.train.metrics import read_metrics
from trtdream.train.run import Choice, train
from trtdream.train.snapshot import list_snapshots, read_snapshot
from trtdream.train.step import Step
from trtdream.train.testing import test_recipe as score
from trtdream.train.testing import with_top5


def test_it_learns(drawn: Path, tmp_path: Path) -> None:
    result = train(small_recipe(drawn, tmp_path / "run", solver__max_iter=150))
    found = losses(tmp_path / "run")
    assert sum(found[-20:]) < 0.5 * sum(found[:20])
    assert result.test["accuracy"] >= 0.75
    for name in ("curves.png", "batch.png"):
        with Image.open(tmp_path / "run" / name) as picture:
            assert picture.width > 100


def test_displayed_losses_are_smoothed_over_average_loss(drawn: Path, tmp_path: Path) -> None:
    train(small_recipe(drawn, tmp_path / "run", solver__max_iter=30, solver__test_interval=0))
    lines = read_metrics(tmp_path / "run/metrics.jsonl")
    every = losses(tmp_path / "run")
    assert [line.iteration for line in lines] == [0, 7, 14, 21, 28]
    for line in lines:
        window = every[max(0, line.iteration - 4) : line.iteration + 1]
        assert line.loss == pytest.approx(sum(window) / len(window))
        assert line.outputs["loss"] == pytest.approx(every[line.iteration])


def test_tests_run_when_caffe_runs_them(drawn: Path, tmp_path: Path) -> None:
    def tested(**changes: object) -> list[int]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        train(small_recipe(drawn, folder, solver__display=0, **changes))
        return [line.iteration for line in read_metrics(folder / "metrics.jsonl") if line.kind == "test"]

    assert tested(solver__max_iter=8, solver__test_interval=4) == [0, 4, 8]
    assert tested(solver__max_iter=7, solver__test_interval=4, solver__test_initialization=False) == [4]


def test_a_loss_that_is_no_number_stops_the_run(drawn: Path, tmp_path: Path) -> None:
    recipe = small_recipe(drawn, tmp_path / "run", run__snapshot=4, solver__display=10, solver__max_iter=40)
    train(small_recipe(drawn, tmp_path / "run", run__snapshot=4, solver__max_iter=4))
    with pytest.raises(TrtdreamError, match=r"iteration (\d+): the loss is (nan|inf); there is no snapshot"):
        train(small_recipe(drawn, tmp_path / "bad", solver__base_lr=1e30, run__snapshot=0, solver__max_iter=40))
    with pytest.raises(TrtdreamError, match=r"the last good snapshot is .*iter_4; lower solver.base_lr"):
        train(
            recipe.model_copy(update={"solver": recipe.solver.model_copy(update={"base_lr": 1e30})}),
            Choice(resume="latest"),
        )
    assert [path.name for path in list_snapshots(tmp_path / "run")] == ["iter_4"]


def test_a_loss_that_is_no_number_is_found_at_the_end_too(drawn: Path, tmp_path: Path) -> None:
    """Where nothing is displayed and no snapshot is due."""
    quiet = {"solver__display": 0, "solver__test_interval": 0, "run__snapshot_after_train": False}
    with pytest.raises(TrtdreamError, match=r"iteration 2: the loss is (nan|inf)"):
        train(small_recipe(drawn, tmp_path / "run", solver__base_lr=1e30, solver__max_iter=3, **quiet))


def test_the_last_line_is_the_smoothed_loss_of_one_more_batch(drawn: Path, tmp_path: Path) -> None:
    """As solver.cpp's Solve prints it; the batch is the one that a longer run would train on next."""
    train(small_recipe(drawn, tmp_path / "short", solver__max_iter=14))
    train(small_recipe(drawn, tmp_path / "long", solver__max_iter=15))
    log = (tmp_path / "short/train.log").read_text()
    said = float(re.findall(r"Iteration 14, loss = (\S+)", log)[-1])
    (line,) = [line for line in read_metrics(tmp_path / "long/metrics.jsonl") if line.iteration == 14]
    assert said == pytest.approx(line.loss, rel=1e-5)


def test_several_test_nets_are_told_apart(drawn: Path, tmp_path: Path) -> None:
    """In the log as Caffe writes them, in the metrics by their set; the auxiliary loss counts by its weight."""
    recipe = small_recipe(drawn, tmp_path / "run", solver__max_iter=4, solver__test_interval=4)
    net = tmp_path / "small.prototxt"
    net.write_text(net.read_text().replace('top: "loss" }', 'top: "loss" loss_weight: 0.3 }'))
    second = recipe.data.test[0].model_copy(update={"iterations": 1})
    data = recipe.data.model_copy(update={"test": (recipe.data.test[0], second)})
    train(recipe.model_copy(update={"data": data}))
    log = (tmp_path / "run/train.log").read_text()
    assert re.findall(r"Iteration (\d+), Testing net \(#(\d)\)", log) == [
        ("0", "0"),
        ("0", "1"),
        ("4", "0"),
        ("4", "1"),
    ]
    outputs = re.findall(r"Test net output #(\d): (\w+) = (\S+)(?: \(\* 0.3 = (\S+) loss\))?", log)
    assert [(index, name) for index, name, *_ in outputs] == [("0", "accuracy"), ("1", "loss")] * 4
    assert all(float(weighted) == pytest.approx(0.3 * float(loss), rel=1e-4) for _, _, loss, weighted in outputs[1::2])
    tests = [line for line in read_metrics(tmp_path / "run/metrics.jsonl") if line.kind == "test"]
    assert [(line.iteration, line.set) for line in tests] == [(0, 0), (0, 1), (4, 0), (4, 1)]


def test_a_snapshot_is_a_net_for_every_command(drawn: Path, tmp_path: Path) -> None:
    """It classifies what it was trained on as the training's own test does."""
    recipe = small_recipe(drawn, tmp_path / "run", solver__max_iter=60, data__test__0__iterations=6)
    result = train(recipe)
    assert result.snapshot is not None
    model = open_model(str(result.snapshot))
    assert model.pictures.size == (28, 28) and model.pictures.squash == (32, 32)
    module = model.module()
    labels = [line.rsplit(" ", 1) for line in (drawn / "train.txt").read_text().splitlines()]
    pictures = [preprocess(load_image(drawn / name), model.pictures) for name, _ in labels]
    scores = module(torch.from_numpy(np.stack(pictures)))["prob"]
    right = (scores.argmax(1) == torch.tensor([int(label) for _, label in labels])).float().mean().item()
    assert right == pytest.approx(score(recipe).sets[0]["accuracy"], abs=1.01 / 48)


def test_classes_are_called_as_their_folders(drawn: Path, tmp_path: Path) -> None:
    """Of a list whose classes lie in a folder each; a packed set knows no folders."""
    pictures = {"data__test__0__source": str(drawn / "val.txt"), "solver__max_iter": 1}
    result = train(small_recipe(drawn, tmp_path / "listed", **pictures))
    assert open_model(str(result.snapshot)).labels == tuple(class_name(label) for label in range(4))
    packed = train(small_recipe(drawn, tmp_path / "packed", solver__max_iter=1))
    assert open_model(str(packed.snapshot)).labels == ()


def test_scores_of_a_snapshot_are_those_of_the_last_test(drawn: Path, tmp_path: Path) -> None:
    recipe = small_recipe(drawn, tmp_path / "run", data__test__0__iterations=6, solver__max_iter=30)
    result = train(recipe)
    found = score(recipe)
    assert found.sets[0] == pytest.approx(result.test)
    with pytest.raises(UsageError, match="no snapshot"):
        score(small_recipe(drawn, tmp_path / "nothing"))
    other = tmp_path / "other.prototxt"
    other.write_text((tmp_path / "small.prototxt").read_text().replace("num_output: 8", "num_output: 9"))
    with pytest.raises(InputRefused, match=r"does not fit|another network"):
        score(small_recipe(drawn, tmp_path / "run", net__path=str(other)))


def test_top5_is_told_where_a_net_tells_only_top1() -> None:
    """CaffeNet's accuracy gets one; GoogLeNet tells both itself."""
    caffenet = with_top5(build("caffenet", 1000, deploy=False).for_phase(Phase.TEST))
    added = next(layer for layer in caffenet.layers if layer.name == "accuracy/top-5")
    assert isinstance(added.kind, Accuracy) and added.kind.top_k == 5 and added.bottoms == ("fc8", "label")
    googlenet = build("googlenet", 1000, deploy=False).for_phase(Phase.TEST)
    assert with_top5(googlenet) == googlenet


def test_top5_counts_what_is_among_the_five_best(drawn: Path, tmp_path: Path) -> None:
    recipe = small_recipe(drawn, tmp_path / "run", data__test__0__iterations=6, solver__max_iter=20)
    net = tmp_path / "small.prototxt"
    net.write_text(net.read_text().replace("num_output: 4", "num_output: 12"))
    train(recipe)
    found = score(recipe).sets[0]
    model = open_model(str(list_snapshots(tmp_path / "run")[-1]))
    rows = [line.rsplit(" ", 1) for line in (drawn / "train.txt").read_text().splitlines()]
    pictures = [preprocess(load_image(drawn / name), model.pictures) for name, _ in rows]
    best = model.module()(torch.from_numpy(np.stack(pictures)))["prob"].topk(5).indices
    among = [int(label) in row for (_, label), row in zip(rows, best.tolist(), strict=True)]
    assert found["accuracy/top-5"] == pytest.approx(sum(among) / len(among), abs=1.01 / 48)
    assert found["accuracy"] < found["accuracy/top-5"]


def test_labels_outside_the_classes_are_refused(drawn: Path, tmp_path: Path) -> None:
    recipe = small_recipe(drawn, tmp_path / "run")
    net = tmp_path / "small.prototxt"
    net.write_text(net.read_text().replace("num_output: 4", "num_output: 3"))
    with pytest.raises(InputRefused, match=r"outside 0\.\.2"):
        train(recipe)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_label_smoothing_is_cross_entropy_with_smoothed_labels(
    drawn: Path, tmp_path: Path, smoothing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against torch's own cross_entropy, the dropout switched off."""
    seen: list[tuple[float, float]] = []
    original = Step.objective

    def checked(self: Step, values: dict[str, torch.Tensor]) -> torch.Tensor:
        found = original(self, values)
        if smoothing:
            labels = labels_of[0]
            want = torch.nn.functional.cross_entropy(values["fc"], labels, label_smoothing=smoothing)
            seen.append((found.item(), want.item()))
        return found

    labels_of: list[torch.Tensor] = []
    forward = Step.forward_backward

    def noting(self: Step, batches: list) -> object:  # type: ignore[type-arg]
        labels_of[:] = [batches[0].blobs["label"]]
        return forward(self, batches)

    monkeypatch.setattr(Step, "objective", checked)
    monkeypatch.setattr(Step, "forward_backward", noting)
    changes = {"solver__max_iter": 3, "solver__display": 0, "solver__test_interval": 0}
    train(small_recipe(drawn, tmp_path / "run", solver__label_smoothing=smoothing, **changes))
    assert len(seen) == (3 if smoothing else 0)
    for found, want in seen:
        assert found == pytest.approx(want, rel=1e-5)


def test_faults_are_found_before_an_older_run_is_removed(drawn: Path, tmp_path: Path) -> None:
    """`--force` replaces a run by one that can begin: missing files are all named, weights and labels must fit."""
    old = train(small_recipe(drawn, tmp_path / "run", solver__max_iter=1)).snapshot
    assert old is not None
    gone = {"data__train__mean_file": "gone.binaryproto", "net__labels": "gone.txt", "data__train__mean_value": []}
    with pytest.raises(UsageError, match=r"net\.labels: gone\.txt is not there; data\.train\.mean_file: gone\.binary"):
        train(small_recipe(drawn, tmp_path / "run", **gone), Choice(force=True))
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    with pytest.raises(UsageError, match="names 3 classes, the net has 4"):
        train(small_recipe(drawn, tmp_path / "run", net__labels=str(tmp_path / "three.txt")), Choice(force=True))
    net = tmp_path / "small.prototxt"
    net.write_text(net.read_text().replace('"conv1" type', '"a" type').replace('"fc" type', '"b" type'))
    with pytest.raises(InputRefused, match="weights of another network"):
        train(small_recipe(drawn, tmp_path / "run", net__weights=str(old)), Choice(force=True))
    assert read_snapshot(old).state.iteration == 1


def test_layers_learn_as_much_faster_as_the_recipe_says(drawn: Path, tmp_path: Path) -> None:
    """`net.lr_mult`: a layer of 0 stays as it is, to the bit."""
    still = small_recipe(drawn, tmp_path / "still", net__lr_mult={"conv*": 0.0}, run__snapshot=2, solver__max_iter=9)
    train(still)
    snapshots = list_snapshots(tmp_path / "still")
    early, late = read_snapshot(snapshots[0]), read_snapshot(snapshots[-1])
    assert torch.equal(early.weights["conv1.0"], late.weights["conv1.0"])
    assert not torch.equal(early.weights["fc.0"], late.weights["fc.0"])
    with pytest.raises(UsageError, match="no layer of Small is called"):
        train(small_recipe(drawn, tmp_path / "x", net__lr_mult={"cov*": 0.0}))
