"""`trtdream data verify`: whether a packed set is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli.data import commands
from trtdream.cli.options import JsonOption
from trtdream.console import print_json, results


@commands.command()
def verify(folder: Annotated[Path, typer.Argument(help="A packed set.")], as_json: JsonOption = False) -> None:
    """Check every checksum of a packed set."""
    from trtdream.data.packed import verify as verify_set

    count = verify_set(folder)
    if as_json:
        print_json({"packed": str(folder), "count": count, "whole": True})
    else:
        results.print(f"{folder}: whole, {count} pictures")
