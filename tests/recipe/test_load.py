"""Recipes: what is taken, what is refused and how that is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from trtdream.errors import InputRefused, UsageError
from trtdream.recipe.load import dump, load_recipe, missing_files

GOOD = """\
net: {name: quicknet, classes: 4}
data:
  train: {source: train.txt, batch: 8, crop: 56}
  test:
    - {source: val.txt, batch: 4, crop: 56, iterations: 2}
solver:
  base_lr: 0.01
  max_iter: 10
  test_interval: 5
run: {folder: out}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


def test_overrides_are_yaml_values_at_their_place(good: Path) -> None:
    changes = ["solver.base_lr=1e-3", "data.test.0.batch=6", "speed.compile=off", "data.train.mean_value=[1, 2, 3]"]
    recipe = load_recipe(good, [*changes, "solver.lr_policy=poly", "solver.power=0.5"])
    assert recipe.solver.base_lr == 0.001 and recipe.solver.power == 0.5
    assert recipe.data.test[0].batch == 6 and recipe.data.train.mean_value == (1.0, 2.0, 3.0)
    assert recipe.speed.compile is False


def test_all_faults_at_once_each_with_its_place(good: Path) -> None:
    text = (
        GOOD.replace("base_lr: 0.01", "base_rate: 0.01").replace("batch: 8", "batch: none").replace("crop: 56, i", "i")
    )
    good.write_text(text.replace("max_iter: 10", "max_iter: 10\n  lr_policy: step\n  momentum: 1.5"))
    with pytest.raises(UsageError) as caught:
        load_recipe(good, ["precision=fp8", "data.train.mirrored=true"])
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{good}: 6 faults in this recipe"
    for wanted in (
        "line 3: data.train.batch: input should be a valid integer",
        "line 7: solver.base_rate: unknown key (did you mean base_lr",
        "line 6: solver.base_lr: is missing",
        "line 10: solver.momentum: input should be less than 1, not 1.5",
        "command line, 'precision=fp8': precision: input should be",
        "command line, 'data.train.mirrored=true': data.train.mirrored: unknown key (did you mean mirror?)",
    ):
        assert any(line.strip().startswith(wanted) for line in lines), (wanted, lines)


def test_a_key_given_twice_is_a_fault(good: Path) -> None:
    """YAML itself would take the last; both lines are named, beside the other faults."""
    good.write_text(GOOD.replace("  max_iter: 10\n", "  max_iter: 10\n  base_lr: 0.1\n  momentum: 2\n"))
    with pytest.raises(UsageError, match="2 faults") as caught:
        load_recipe(good)
    assert "line 9: solver.base_lr: is there already, on line 7" in str(caught.value)


def test_the_home_folder(good: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    recipe = load_recipe(good, ["data.train.source=~/pictures", "run.folder=~/out"])
    assert recipe.data.train.source == tmp_path / "pictures" and recipe.run.folder == tmp_path / "out"


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("solver.lr_policy=step", "solver.gamma: lr_policy step needs it"),
        ("solver.stepvalue=[5, 3]", "solver.stepvalue: must rise"),
        ("solver.type=AdaGrad", None),
        ("net.path=x.prototxt", "net: name, path: give one of them"),
        ("data.test=[]", "data.test: solver.test_interval is set"),
        ("data.train.crop=300", "crop: 300 does not fit into size 256"),
        ("solver.base_lr=nan", "solver.base_lr"),
        ("run.snapshot=-1", "run.snapshot"),
        ("solver.max_iter=ten", "solver.max_iter"),
        ("solver.type=Lion", "solver.type"),
        ("solver=3", "solver"),
    ],
)
def test_what_contradicts_itself_is_refused(good: Path, change: str, wanted: str | None) -> None:
    if wanted is None:
        load_recipe(good, [change])
        return
    with pytest.raises(UsageError) as caught:
        load_recipe(good, [change])
    assert wanted in str(caught.value)


@pytest.mark.parametrize("override", ["solver.base_lr", "=3", "solver.base_lr.x=3", "data.test.7.batch=3", "a=[1"])
def test_overrides_without_sense_are_refused(good: Path, override: str) -> None:
    with pytest.raises(UsageError):
        load_recipe(good, [override])


@pytest.mark.parametrize("text", ["", "net: [", "- a\n- b\n", "just words", "\x00"])
def test_files_that_are_no_recipe(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises((UsageError, InputRefused)):
        load_recipe(path)


def test_paths_are_found_from_here_then_from_the_file_or_from_the_root(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, other = tmp_path / "here", tmp_path / "root"
    here.mkdir()
    other.mkdir()
    monkeypatch.chdir(here)
    (tmp_path / "train.txt").touch()
    (tmp_path / "val.txt").touch()
    (here / "val.txt").touch()
    recipe = load_recipe(good)
    assert recipe.data.train.source == tmp_path / "train.txt"  # beside the recipe
    assert recipe.data.test[0].source == Path("val.txt")  # here
    assert recipe.run.folder == Path("out")  # an output: always from here
    assert load_recipe(good, root=other).data.train.source == other / "train.txt"
    assert set(missing_files(load_recipe(good, root=other))) == {"data.train.source", "data.test.0.source"}


def test_what_is_dumped_loads_as_the_same(good: Path, tmp_path: Path) -> None:
    recipe = load_recipe(good, ["solver.weight_decay=0.0005", "speed.channels_last=off"])
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump(recipe))
    assert load_recipe(copy) == recipe
