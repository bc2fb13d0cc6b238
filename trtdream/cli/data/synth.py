"""`trtdream data synth`: a small data set to try things on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli.data import commands
from trtdream.cli.options import JsonOption
from trtdream.console import print_json, results


@commands.command()
def synth(
    folder: Annotated[Path, typer.Argument(help="The folder to write.")],
    classes: Annotated[int, typer.Option(help="How many kinds of textured shapes.")] = 10,
    images: Annotated[int, typer.Option(min=1, help="Pictures to train on.")] = 640,
    val: Annotated[int, typer.Option(min=1, help="Pictures to validate on.")] = 160,
    size: Annotated[int, typer.Option(min=16, help="Side, in pixels.")] = 96,
    as_json: JsonOption = False,
) -> None:
    """Draw a small data set that a small network learns on a CPU in a minute; always the same pictures."""
    from trtdream.data.progress import tracked
    from trtdream.data.synth import synthesise
    from trtdream.errors import UsageError

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is not empty: give another folder")
    with tracked(images + val, "drawing") as advance:
        synthesise(folder, classes, images, val, size, advance)
    if as_json:
        print_json({"folder": str(folder), "classes": classes, "train": images, "val": val})
    else:
        results.print(f"{folder}: {images} pictures in train.txt, {val} in val.txt, {classes} classes")
