"""`trtdream bench engine`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli.bench import commands
from trtdream.cli.bench.output import FileOption, Files, ReportOption, print_rows, print_seen
from trtdream.cli.options import DeviceOption, ForceOption
from trtdream.console import say


@commands.command()
def engine(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An .engine with its manifest, or an .onnx.")],
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Default: the file's usual one.")] = None,
    threads: Annotated[
        list[int] | None, typer.Option("--threads", min=1, help="At once; several times for a sweep. Default: 1 2 4.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="For each number of threads.")] = 3.0,
    device: DeviceOption = "auto",
    json_file: FileOption = None,
    report: ReportOption = None,
    force: ForceOption = False,
) -> None:
    """An exported file as a server runs it: cold start, latency, throughput with threads, with and without copies.

    Each thread has an execution context of its own. A cold start is a new process, from its start to its first answer.
    """
    files = Files(json_file, report, force)
    from trtdream.bench.conditions import Conditions
    from trtdream.bench.limits import limits_of
    from trtdream.bench.results import Result
    from trtdream.bench.serving import Load, time_serving
    from trtdream.runtime.device import pick_device

    device = pick_device(device)
    load = Load(batch, tuple(threads or (1, 2, 4)), seconds)
    with Conditions(device) as conditions:
        rows = list(time_serving(file, device, load, limits_of, lambda part: say(f"measuring {part} ...")))
    print_rows(rows)
    print_seen(conditions.seen)
    images = next((row.extra["images"] for row in rows if "images" in row.extra), None)
    limits = limits_of("cuda" if file.suffix == ".engine" else device)
    settings = {"file": file.name, "batch": images, "device": device}
    files.write(Result("engine", settings, rows, limits, (), conditions.seen))
