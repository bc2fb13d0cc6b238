"""What happens around an iteration."""

from __future__ import annotations

from pathlib import Path
from threading import current_thread, main_thread

import numpy as np
import pytest
import torch
from PIL import Image

from tests.train.small import losses, small_recipe
from trtdream.data.synth import class_name
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.runtime.image import load_image
from trtdream.runtime.open_model import open_model
from trtdream.runtime.preprocess import preprocess
from trtdream.train import loop
from trtdream.train.metrics import read_metrics
from trtdream.train.run import Choice, train
from trtdream.train.snapshot import list_snapshots, read_snapshot
from trtdream.train.step import Step
from trtdream.train.testing import test_recipe as score


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


def test_the_host_waits_for_the_device_only_at_displays(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every way from a tensor to a number is counted; between displays there must be none."""
    counted: list[str] = []
    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__"):
        original = getattr(torch.Tensor, name)

        def counting(self: torch.Tensor, *args: object, _of: object = original, _name: str = name) -> object:
            if current_thread() is main_thread():  # data are made in others
                counted.append(_name)
            return _of(self, *args)  # type: ignore[operator]

        monkeypatch.setattr(torch.Tensor, name, counting)
    iterate = loop.Training._iterate
    waits: dict[int, int] = {}

    def watched(self: loop.Training) -> None:
        before = len(counted)
        iterate(self)
        waits[self.progress.iteration] = len(counted) - before

    monkeypatch.setattr(loop.Training, "_iterate", watched)
    train(small_recipe(drawn, tmp_path / "run", solver__max_iter=16, solver__clip_gradients=5.0))
    assert {iteration for iteration, count in waits.items() if count} == {0, 7, 14}
    assert waits[7] == 2  # the losses, and the net's outputs


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
