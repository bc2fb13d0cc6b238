"""`trtdream bench train`."""

from __future__ import annotations

from typing import Annotated

import typer

from trtdream.cli.bench import commands
from trtdream.cli.bench.output import (
    FileOption,
    Files,
    ReportOption,
    explain_marks,
    milliseconds,
    of_the_limit,
    print_seen,
)
from trtdream.cli.options import ForceOption
from trtdream.cli.recipe import OverridesArgument, RecipeArgument, RootOption
from trtdream.console import results, say, table


@commands.command()
def train(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    iterations: Annotated[int, typer.Option("--iterations", min=5, help="About so many, measured twice.")] = 50,
    root: RootOption = None,
    file: FileOption = None,
    report: ReportOption = None,
    force: ForceOption = False,
) -> None:
    """Where a training step's time goes: wait for data, forward, backward, update, logging. Nothing is kept."""
    files = Files(file, report, force)
    from trtdream.bench.conditions import Conditions
    from trtdream.bench.limits import limits_of
    from trtdream.bench.results import Result
    from trtdream.bench.training import rows_of_step, time_recipe
    from trtdream.recipe.load import load_recipe
    from trtdream.recipe.shipped import find_recipe
    from trtdream.train.assemble import device_of

    loaded = load_recipe(find_recipe(recipe), overrides or (), root)
    device = device_of(loaded).type
    limits = limits_of(device)
    with Conditions(device) as conditions:
        found = time_recipe(loaded, iterations, lambda part: say(f"measuring {part} ..."))
    rows = rows_of_step(found, limits)
    right = ("ms", "share", "of the limit")
    shown = table("part", *right, right=right, title=f"{recipe}, {found.images} images, {found.form}")
    whole = found.whole.median_ms
    for row in rows:
        share = f"{row.timing.median_ms / whole:.1%}" if row.timing else ""
        shown.add_row(row.part, milliseconds(row), share, of_the_limit(row))
    results.print(shown)
    each = whole / found.images
    results.print(f"{each:.4g} ms/image, {1e3 / each:,.1f} images/s; a display every {found.display} iterations")
    if found.apart:
        results.print("the parts are those of the plain step: a compiled step or a CUDA graph has none of its own")
    explain_marks(rows)
    print_seen(conditions.seen, found.doubts)
    settings = {"recipe": recipe, "batch": found.images, "form": found.form, "display": found.display}
    files.write(Result("train", settings, rows, limits, found.doubts, conditions.seen))
