"""`trtdream bench data`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli.bench import commands
from trtdream.cli.bench.output import FileOption, Files, ReportOption, print_rows, print_seen
from trtdream.cli.options import DeviceOption, ForceOption
from trtdream.console import say


@commands.command()
def data(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="List, folder per class, LMDB or packed set.")],
    root: Annotated[Path | None, typer.Option("--root", help="The folder that a list's paths start from.")] = None,
    batch: Annotated[int, typer.Option("--batch", min=1)] = 64,
    threads: Annotated[
        list[int] | None, typer.Option("--threads", min=1, help="Several times for several. Default: 1, all cores.")
    ] = None,
    size: Annotated[int, typer.Option("--size", min=1, help="Side the pictures are squashed to.")] = 256,
    crop: Annotated[int, typer.Option("--crop", min=1, help="Side of the crop.")] = 227,
    runs: Annotated[int, typer.Option("--runs", min=2, help="Batches after warming up.")] = 20,
    device: DeviceOption = "auto",
    file: FileOption = None,
    report: ReportOption = None,
    force: ForceOption = False,
) -> None:
    """Images a second from a source to finished float batches: cached, from disk, kept on the device.

    CaffeNet's transform: crop anywhere, every other one mirrored, mean values. Shuffled.
    """
    files = Files(file, report, force)
    from trtdream.bench.conditions import Conditions
    from trtdream.bench.feeding import time_source
    from trtdream.bench.limits import limits_of
    from trtdream.bench.results import Result
    from trtdream.bench.timing import Repeats
    from trtdream.data.feed import Feed
    from trtdream.data.transform import Transform
    from trtdream.runtime.device import pick_device

    device = pick_device(device)
    transform = Transform(size=size, crop=crop, mirror=True, mean_value=(104, 117, 123))
    counts = threads or sorted({1, len(os.sched_getaffinity(0))})
    feeds = [Feed(batch, threads=count, device=device, on_bad="skip") for count in counts]
    repeats = Repeats(runs, warm_up=3, seconds=10)
    limits = limits_of("cpu")  # measured before, if they are not known
    with Conditions(device) as conditions:
        found = time_source(
            source, root, transform, feeds, repeats, limits_of, lambda part: say(f"measuring {part} ...")
        )
        rows = list(found)
    print_rows(rows)
    print_seen(conditions.seen)
    settings = {"source": str(source), "batch": batch, "size": size, "crop": crop, "device": device}
    files.write(Result("data", settings, rows, limits, (), conditions.seen))
