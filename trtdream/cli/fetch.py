"""`trtdream fetch`: the official Caffe models, and the ILSVRC12 lists and mean, on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from trtdream.cli import app
from trtdream.console import print_json, results, say


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="googlenet, caffenet, alexnet, ilsvrc12 (mean, labels and lists)."),
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Show what is here; fetch nothing.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not use the network.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is here already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Fetch the official files of BVLC and show where they lie; without a name, show what there is."""
    from trtdream.errors import UsageError
    from trtdream.weights.cache import cache_folder
    from trtdream.weights.fetch import obtain
    from trtdream.weights.holding import Holding, look_up
    from trtdream.weights.official import OFFICIAL, official

    if force and (offline or list_only):
        raise UsageError("--force fetches again: leave out --offline and --list, or --force")
    files = [official(name) for name in dict.fromkeys(names or [])]
    if list_only or not files:
        holdings = [look_up(file) for file in files or OFFICIAL]
    else:
        holdings = [Holding.at(file, obtain(file.name, offline=offline, force=force)) for file in files]
    if as_json:
        print_json({"cache": str(cache_folder()), "files": [holding.as_document() for holding in holdings]})
        return
    for holding in holdings:
        for line in holding.lines():
            results.print(line, markup=False)
    if any(holding.path is None for holding in holdings):
        say("`trtdream fetch NAME` fetches what is not here.")
