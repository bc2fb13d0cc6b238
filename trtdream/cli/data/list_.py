"""`trtdream data list`: train.txt and val.txt for a folder per class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli.data import commands
from trtdream.cli.options import ForceOption, JsonOption
from trtdream.console import print_json, results, say


@commands.command("list")
def list_files(
    folder: Annotated[
        Path, typer.Argument(help="A folder per class, or one that holds such folders as train and val.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write. Default: the folder itself.")
    ] = None,
    val: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of each class for validation, where val is no folder.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Which files that are.")] = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write train.txt and val.txt (Caffe's `path label` lines) for a folder per class."""
    from trtdream.data.lists import split_folder, write_list
    from trtdream.errors import UsageError
    from trtdream.files import refuse_overwrite

    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    target = output or folder
    for part in ("train", "val"):
        refuse_overwrite(target / f"{part}.txt", force)
    train, validation = split_folder(folder, val, seed)
    write_list(target / "train.txt", train)
    write_list(target / "val.txt", validation)
    classes = 1 + max(label for _, label in train)
    if as_json:
        print_json({"train": len(train), "val": len(validation), "classes": classes, "folder": str(target)})
        return
    results.print(f"{target}: train.txt ({len(train)} pictures), val.txt ({len(validation)}), {classes} classes")
    if target != folder:
        say(f"their paths start at {folder}: read them with --root {folder}")
