"""train, test, recipe, and convert to .solverstate, as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cli.command import refused, run
from tests.train.small import small_values
from trtdream.caffe.solverstate import read_solverstate
from trtdream.data.pack import Packing, pack
from trtdream.data.sources import read_list
from trtdream.data.synth import synthesise
from trtdream.data.transform import Transform


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with drawn pictures, packed, and a recipe that trains on them."""
    folder = tmp_path_factory.mktemp("place")
    synthesise(folder, classes=4, images=48, val=16, size=32)
    pack(read_list(folder / "train.txt"), folder / "packed", Packing(Transform(size=32)))
    values = small_values(folder, folder / "run", solver__max_iter=20)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values))
    return folder


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    ran = run("train", place / "recipe.yaml", "--json")
    assert ran.code == 0, ran.err
    assert ran.document["iterations"] == 20
    assert "Iteration 14" in ran.err and "Test net output #0: accuracy = " in ran.err
    assert ran.document["snapshot"] == str(place / "run/iter_20")
    return Path(ran.document["snapshot"])


def test_the_three_commands(place: Path, trained: Path) -> None:
    again = run("train", place / "recipe.yaml")
    refused(again, 2, "holds a run already", "--resume latest", "--force")
    more = run("train", place / "recipe.yaml", "solver.max_iter=22", "--resume", "latest")
    assert more.code == 0 and "Resuming from" in more.err, more.err
    assert more.out.startswith("22 iterations, loss ")
    tested = run("test", place / "recipe.yaml", "--weights", trained, "--json")
    assert tested.code == 0, tested.err
    assert set(tested.document["sets"][0]) == {"accuracy", "loss"}
    shown = run("test", place / "recipe.yaml", "--iterations", 1)
    assert "1 batches" in shown.out and "accuracy" in shown.out


def test_a_snapshot_is_taken_by_other_commands(place: Path, trained: Path) -> None:
    picture = next((place / "train").rglob("*.jpg"))
    classified = run("classify", picture, "--net", trained, "--json")
    assert classified.code == 0, classified.err
    out = place / "state" / "s_iter_20.solverstate"
    converted = run("convert", trained, out)
    assert converted.code == 0, converted.err
    assert read_solverstate(out.read_bytes(), "out").iteration == 20
    assert run("train", place / "recipe.yaml", "run.folder=" + str(place / "r2"), "--resume", out).code == 0
    refused(run("convert", trained, out), 2, "exists already")


def test_fine_tuning_says_what_it_took(place: Path, trained: Path) -> None:
    values = small_values(place, place / "tuned", solver__max_iter=1)
    net = place / "five.prototxt"
    net.write_text((place / "small.prototxt").read_text().replace('"fc" type', '"fc_new" type'))
    (place / "five.yaml").write_text(yaml.safe_dump({**values, "net": {"path": str(net)}}))
    ran = run("train", place / "five.yaml", "--weights", trained)
    assert ran.code == 0, ran.err
    assert "taken: conv1" in ran.err
    assert "not in the file: as the fillers made them: fc_new" in ran.err
    assert "in the file only: ignored: fc" in ran.err
    refused(run("train", place / "five.yaml", "--weights", trained, "--resume", "latest"), 2, "give one of them")


def test_faults_are_named_before_anything_is_written(place: Path, tmp_path: Path) -> None:
    ran = run("train", place / "recipe.yaml", "solver.base_lr=fast", "data.train.bacth=3")
    assert ran.code == 2 and "2 faults" in ran.err and "did you mean batch?" in ran.err
    folder = tmp_path / "none"
    missing = run("train", place / "recipe.yaml", f"run.folder={folder}", "data.train.source=gone.txt")
    refused(missing, 2, "gone.txt")
    wrong = run("train", place / "recipe.yaml", f"run.folder={folder}", "net.path=null", "net.name=googlent")
    refused(wrong, 2, "no network is called 'googlent'")
    mean = run("train", place / "recipe.yaml", f"run.folder={folder}", "data.train.mean_value=[1, 2]")
    refused(mean, 3, "2 mean values for pictures of 3 channels")
    refused(run("train", "no_recipe"), 2, "neither a file nor a shipped recipe")
    refused(run("train", place / "recipe.yaml", f"run.folder={folder}", "run.device=cuda:99"), 2, "cuda:99")
    assert not folder.exists()


def test_recipe_commands(tmp_path: Path) -> None:
    listed = run("recipe", "ls", "--json")
    assert {"caffenet", "quickstart", "finetune", "painterly"} <= set(listed.document)
    assert "quickstart" in run("recipe", "ls").out
    copy = tmp_path / "mine.yaml"
    assert run("recipe", "cp", "quickstart", copy).code == 0
    assert "# " in copy.read_text()
    refused(run("recipe", "cp", "quickstart", copy), 2, "exists already")
    shown = run("recipe", "cat", copy, "solver.base_lr=0.5")
    assert yaml.safe_load(shown.out)["solver"]["base_lr"] == 0.5
    dreamt = run("recipe", "cat", "painterly", "octaves=7")
    assert yaml.safe_load(dreamt.out)["octaves"] == 7 and yaml.safe_load(dreamt.out)["normalise"] == "laplacian"
    dream = tmp_path / "dream.yaml"
    assert run("recipe", "cp", "detail", dream).code == 0
    assert yaml.safe_load(run("recipe", "cat", dream, "octaves=2").out)["octaves"] == 2
    checked = run("recipe", "validate", dream, "guide=gone.png", "--json").document
    assert checked["valid"] and checked["dream"] == "inception_4d/output + inception_4c/output:0.5"
    assert checked["octaves"] == 6 and checked["not_there"] == {"guide": "gone.png"}
    assert "valid; " in run("recipe", "validate", "classic").out
    refused(run("recipe", "validate", dream, "octaves=0"), 2, "'octaves=0': octaves: input should be greater")
    refused(run("recipe", "validate", "clasic"), 2, "did you mean classic")
    valid = run("recipe", "validate", copy, "--json")
    assert valid.document["valid"] and valid.document["net"] == "QuickNet"
    assert set(valid.document["not_there"]) == {"data.train.source", "data.test.0.source"}
    invalid = run("recipe", "validate", copy, "net.classes=0")
    assert invalid.code == 2 and "'net.classes=0': net.classes: input should be greater" in invalid.err


def test_a_solver_file_is_shown_as_the_recipe_it_became(truth: Path) -> None:
    shown = run("recipe", "cat", truth / "train/solver_it1.prototxt")
    assert shown.code == 0, shown.err
    recipe = yaml.safe_load(shown.out)
    assert recipe["solver"]["stepsize"] == 25 and recipe["data"]["test"][0]["iterations"] == 8
    assert recipe["data"]["train"]["mean_file"].endswith("caffe-truth/train/mean.binaryproto")
