"""`trtdream train` and `trtdream test`: train as a recipe or a Caffe solver says, and test what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trtdream.cli import app
from trtdream.cli.options import ForceOption, JsonOption, OfflineOption
from trtdream.cli.recipe import OverridesArgument, RecipeArgument, RootOption
from trtdream.console import messages, print_json, results, say, table

if TYPE_CHECKING:
    from trtdream.net.torch_module import Loaded
    from trtdream.train.run import Result

_INTERRUPTED = 130


@app.command()
def train(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="Start from these weights: a file, a snapshot, or googlenet, caffenet ..."),
    ] = None,
    resume: Annotated[str | None, typer.Option("--resume", help="Go on from a snapshot: latest, or its path.")] = None,
    root: RootOption = None,
    force: ForceOption = False,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train. SIGINT and SIGTERM keep a snapshot and stop (exit code 130), SIGHUP keeps one and goes on."""
    from trtdream.errors import UsageError
    from trtdream.recipe.load import load_recipe
    from trtdream.recipe.shipped import find_recipe
    from trtdream.train.live import Live
    from trtdream.train.run import Choice, Watching
    from trtdream.train.run import train as train_recipe
    from trtdream.train.world import World

    if weights is not None and resume is not None:
        raise UsageError("--weights starts a training, --resume goes on with one: give one of them")
    changes = [*(overrides or ()), *([f"net.weights={weights}"] if weights else [])]
    loaded = load_recipe(find_recipe(recipe), changes, root)
    choice = Choice(resume, force, offline)
    if not World.of_environment().is_first:  # one of many processes speaks for all
        stopped = train_recipe(loaded, choice).stopped
        raise typer.Exit(_INTERRUPTED if stopped else 0)
    with Live(loaded.solver.max_iter) as live:
        result = train_recipe(loaded, choice, Watching(live.line, live.metric, _show_loaded))
    if as_json:
        print_json(_document(result))
    else:
        _show(result)
    if result.stopped:
        say(result.stopped)
        raise typer.Exit(_INTERRUPTED)


@app.command()
def test(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="Weights to test: a file or a snapshot. Default: the run's last snapshot."),
    ] = None,
    iterations: Annotated[
        int | None, typer.Option("--iterations", min=1, help="Batches of a test set. Default: the recipe's.")
    ] = None,
    root: RootOption = None,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Test as `caffe test` does: losses and top-1/top-5 accuracy, averaged over the batches of each test set."""
    from trtdream.recipe.load import load_recipe
    from trtdream.recipe.shipped import find_recipe
    from trtdream.train.testing import test_recipe

    loaded = load_recipe(find_recipe(recipe), overrides or (), root)
    found = test_recipe(loaded, weights, iterations, offline)
    if as_json:
        print_json({"weights": str(found.weights), "sets": [dict(one) for one in found.sets]})
        return
    for index, one in enumerate(found.sets):
        shown = table("output", "value", right=("value",), title=f"test set {index}, {found.batches[index]} batches")
        for name, value in one.items():
            shown.add_row(name, f"{value:.6g}")
        results.print(shown)


def _show_loaded(loaded: Loaded) -> None:
    """The table of what was taken from --weights and what was not."""
    shown = table("layers", "what became of them")
    for names, what in (
        (loaded.taken, "taken"),
        (loaded.missing, "not in the file: as the fillers made them"),
        (loaded.unfit, "of another shape: as the fillers made them"),
        (loaded.unused, "in the file only: ignored"),
    ):
        if names:
            shown.add_row(str(len(names)), f"{what}: {', '.join(names)}")
    messages.print(shown)


def _document(result: Result) -> dict[str, object]:
    return {
        "folder": str(result.folder),
        "iterations": result.iterations,
        "snapshot": str(result.snapshot) if result.snapshot else None,
        "loss": result.loss,
        "test": result.test,
        "seconds": result.seconds,
        "stopped": result.stopped,
    }


def _show(result: Result) -> None:
    scores = ", ".join(f"{name} {value:.4g}" for name, value in result.test.items())
    loss = f"loss {result.loss:.4g}" if result.loss is not None else "nothing to do"
    results.print(f"{result.iterations} iterations, {loss}{'; last test: ' + scores if scores else ''}", markup=False)
    if result.snapshot:
        results.print(f"{result.snapshot}: a NET for every command; curves in {result.folder / 'curves.png'}")
