"""`trtdream recipe`: look at recipes, copy them, check them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli import app
from trtdream.cli.options import ForceOption, JsonOption
from trtdream.console import print_json, results, say, table

commands = typer.Typer(help="Recipes: ls, cat, cp, validate.", no_args_is_help=True)
app.add_typer(commands, name="recipe")

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe (.yaml), a solver.prototxt, or a shipped recipe's name.")
]
OverridesArgument = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="As in solver.base_lr=0.001.")]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", help="Where relative paths start. Default: the working directory, then the file's folder."),
]


@commands.command()
def ls(as_json: JsonOption = False) -> None:
    """The recipes that are shipped: to train by, and after them those of `trtdream dream --preset`."""
    from trtdream.recipe.shipped import purpose, shipped_dreams, shipped_recipes

    found = {name: purpose(path) for name, path in {**shipped_recipes(), **shipped_dreams()}.items()}
    if as_json:
        print_json(found)
        return
    shown = table("recipe", "what it trains or dreams")
    for name, text in found.items():
        shown.add_row(name, text)
    results.print(shown)


@commands.command()
def cat(recipe: RecipeArgument, overrides: OverridesArgument = None, root: RootOption = None) -> None:
    """The recipe as it will be run, as YAML: what a solver.prototxt became, what overrides changed."""
    from trtdream.recipe.dreams import is_dream, load_dream
    from trtdream.recipe.load import dump, load_recipe
    from trtdream.recipe.shipped import find_any

    path, given = find_any(recipe), overrides or ()
    print(dump(load_dream(path, {}, given) if is_dream(path) else load_recipe(path, given, root)), end="")


@commands.command()
def cp(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    force: ForceOption = False,
) -> None:
    """Copy a recipe, comments included, to change it."""
    from trtdream.files import read_file, refuse_overwrite, write_file
    from trtdream.recipe.shipped import find_any

    refuse_overwrite(out, force)
    write_file(out, read_file(find_any(recipe)))
    results.print(str(out), markup=False)


@commands.command()
def validate(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a recipe, a training's network too, without running it: every fault at once. Exit code 2 if any."""
    from trtdream.recipe.dreams import describe_dream, is_dream, load_dream
    from trtdream.recipe.load import load_recipe, missing_files
    from trtdream.recipe.networks import describe
    from trtdream.recipe.shipped import find_any

    path, given = find_any(recipe), overrides or ()
    if is_dream(path):
        settings = load_dream(path, {}, given)
        missing, described = settings.missing_files, describe_dream(settings)
    else:
        loaded = load_recipe(path, given, root)
        missing = missing_files(loaded)
        described = {} if "net.path" in missing else describe(loaded)
    if as_json:
        files = {key: str(value) for key, value in missing.items()}
        print_json({"recipe": str(path), "valid": True, **described, "not_there": files})
        return
    facts = ", ".join(f"{value:,} {key}" if isinstance(value, int) else str(value) for key, value in described.items())
    results.print(f"{path}: valid; {facts}", markup=False)
    for key, value in missing.items():
        say(f"{key}: {value} is not there yet")
