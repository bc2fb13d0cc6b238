"""`caffe test`: weights, scored on a recipe's test sets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from trtdream.console import progress
from trtdream.errors import UsageError
from trtdream.net.kinds.probability import Accuracy
from trtdream.net.net import Layer, Net
from trtdream.recipe.networks import count_classes
from trtdream.recipe.schema import Recipe
from trtdream.train.assemble import device_of, open_tests, weights_file
from trtdream.train.compute import apply_settings, resolve_compute
from trtdream.train.evaluate import flat
from trtdream.train.snapshot import find_snapshot
from trtdream.train.world import World
from trtdream.weights.weights import load_weights

_TOP = 5


@dataclass(frozen=True)
class Scores:
    """The outputs' means, by name, of each test set, and over how many batches."""

    weights: Path
    sets: tuple[dict[str, float], ...]
    batches: tuple[int, ...]


def test_recipe(
    recipe: Recipe, weights: Path | None = None, iterations: int | None = None, offline: bool = False
) -> Scores:
    """Test weights (None: those of the run's last snapshot) on every test set of a recipe.

    Beside the nets' own outputs, the top-5 accuracy of scores of which a net tells only the top-1.

    Raises:
        UsageError: the recipe has no test set, there is no snapshot or file.
        InputRefused: weights that do not fit the net: a test takes all of them or none.
    """
    if not recipe.data.test:
        raise UsageError("data.test: the recipe has no set to test on")
    source = weights or find_snapshot("latest", recipe.run.folder)
    layers = load_weights(weights_file(source, offline)).layers
    world = World()
    compute = resolve_compute(recipe, device_of(recipe), world)
    apply_settings(compute, recipe.run.deterministic)
    classes = count_classes(recipe)
    change = with_top5 if classes is not None and classes > _TOP else None
    tests = open_tests(recipe, None, compute, world, classes, change)
    found, counts = [], []
    try:
        for index, tester in enumerate(tests):
            tester.net.load(layers, str(source))
            tester.iterations = iterations or tester.iterations
            with progress() as bar:
                task = bar.add_task(f"test set {index}", total=tester.iterations)
                found.append(flat(tester.run(lambda *_: bar.advance(task))))  # noqa: B023  called at once
            counts.append(tester.iterations)
    finally:
        for tester in tests:
            tester.feeding.loader.close()
    return Scores(source, tuple(found), tuple(counts))


def with_top5(net: Net) -> Net:
    """The net of the TEST phase with a layer `X/top-5` after each accuracy X whose scores no top-5 accuracy has."""
    told = {layer.bottoms for layer in net.layers if isinstance(layer.kind, Accuracy) and layer.kind.top_k > 1}
    layers: list[Layer] = []
    for layer in net.layers:
        layers.append(layer)
        if isinstance(layer.kind, Accuracy) and layer.bottoms not in told:
            name = f"{layer.name}/top-{_TOP}"
            layers.append(replace(layer, name=name, kind=replace(layer.kind, top_k=_TOP), tops=(name,)))
    return replace(net, layers=tuple(layers))


test_recipe.__test__ = False  # type: ignore[attr-defined]  # no test of pytest's
