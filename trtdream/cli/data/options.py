"""Options that several of the commands share, and what they mean."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class OnBadFile(StrEnum):
    """What is done about a file that cannot be decoded."""

    stop = "stop"
    skip = "skip"


SourcePath = Annotated[
    Path,
    typer.Argument(
        help="A list file of `path label` lines, a folder per class, a Caffe LMDB or LevelDB, or a packed set."
    ),
]
Root = Annotated[Path | None, typer.Option(help="The folder that a list's paths start from. Default: the list's own.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Decoding threads. Default: one per CPU core.")]
OnBadOption = Annotated[OnBadFile, typer.Option("--on-bad", help="A file that cannot be decoded: stop, or skip it.")]


def cores() -> int:
    """How many CPU cores this process may use."""
    return len(os.sched_getaffinity(0))
