"""Every shipped recipe: it loads, its network is built, its opening command is the one that runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trtdream.recipe.dreams import find_dream, load_dream
from trtdream.recipe.load import load_recipe
from trtdream.recipe.networks import describe
from trtdream.recipe.schema import Recipe
from trtdream.recipe.shipped import find_recipe, purpose, shipped_dreams, shipped_recipes

SHIPPED = shipped_recipes()
DREAMS = shipped_dreams()
FOLDER = Path(__file__).parents[2] / "recipes"


def test_all_files_are_found() -> None:
    assert {*SHIPPED.values(), *DREAMS.values()} == set(FOLDER.rglob("*.yaml"))
    wanted = {"caffenet", "alexnet", "googlenet", "googlenet_quick", "imagenette", "finetune", "quickstart"}
    assert wanted <= set(SHIPPED)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_it_is_valid_and_opens_with_its_command(name: str) -> None:
    lines = SHIPPED[name].read_text().splitlines()
    assert lines[0].startswith("# ") and len(purpose(SHIPPED[name])) > 20
    assert any(f"trtdream train recipes/{name}.yaml" in line for line in lines[:6])
    recipe = load_recipe(SHIPPED[name])
    assert recipe.data.test, "every recipe is tested on something"
    described = describe(recipe)
    assert isinstance(described["parameters"], int)
    assert find_recipe(name) == SHIPPED[name]
    assert recipe.run.folder == Path("runs") / name


@pytest.mark.parametrize("name", sorted(DREAMS))
def test_a_dream_is_valid_and_opens_with_its_command(name: str) -> None:
    lines = DREAMS[name].read_text().splitlines()
    assert lines[0].startswith("# ") and len(purpose(DREAMS[name])) > 20
    assert any("trtdream dream " in line and f"--preset {name}" in line for line in lines[:6])
    load_dream(find_dream(name), {})


@pytest.mark.parametrize(
    ("name", "parameters"), [("caffenet", 60_965_224), ("alexnet", 60_965_224), ("googlenet", 13_378_280)]
)
def test_parameters_are_caffes(name: str, parameters: int) -> None:
    assert describe(load_recipe(SHIPPED[name]))["parameters"] == parameters


# What stands in BVLC's solver.prototxt files (FACTS.md, section 1)
BVLC = {
    "caffenet": (0.01, "step", 0.1, 100_000, None, 450_000, 0.9, 0.0005, 20, 1, 1000, True, 10_000, 256),
    "alexnet": (0.01, "step", 0.1, 100_000, None, 450_000, 0.9, 0.0005, 20, 1, 1000, True, 10_000, 256),
    "googlenet": (0.01, "step", 0.96, 320_000, None, 10_000_000, 0.9, 0.0002, 40, 40, 4000, False, 40_000, 32),
    "googlenet_quick": (0.01, "poly", None, None, 0.5, 2_400_000, 0.9, 0.0002, 40, 40, 4000, False, 40_000, 32),
}


@pytest.mark.parametrize("name", sorted(BVLC))
def test_numbers_are_bvlcs(name: str) -> None:
    assert _numbers(load_recipe(SHIPPED[name])) == BVLC[name]
    (test,) = load_recipe(SHIPPED[name]).data.test
    assert test.batch * test.iterations == 50_000 and not test.mirror


def _numbers(recipe: Recipe) -> tuple[object, ...]:
    s = recipe.solver
    rate = (s.base_lr, s.lr_policy, s.gamma, s.stepsize, s.power, s.max_iter, s.momentum, s.weight_decay)
    shown = (s.display, s.average_loss, s.test_interval, s.test_initialization)
    return (*rate, *shown, recipe.run.snapshot, recipe.data.train.batch)


def test_the_layers_are_those_caffe_lists(truth: Path) -> None:
    """The nets of the recipes have the layers, in order, that real Caffe built from its train_val files."""
    from trtdream.recipe.networks import train_net

    for name in ("caffenet", "alexnet", "googlenet"):
        caffes = json.loads((truth / f"structure/{name}_TRAIN.json").read_text())["layer_names"]
        ours = [layer.name for layer in train_net(load_recipe(SHIPPED[name])).layers]
        assert ours == [layer for layer in caffes if not layer.endswith("_split")]
