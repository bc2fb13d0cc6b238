"""`trtdream data scan`: what would break training."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli.data import commands
from trtdream.cli.data.options import Root, SourcePath, cores
from trtdream.cli.options import ForceOption, JsonOption
from trtdream.console import print_json, results, table


@commands.command()
def scan(
    source: SourcePath,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write a list of the good samples.")] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="The net's classes: labels must be below.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Decode every picture, not only look at its header.")] = False,
    root: Root = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. Default: one per CPU core.")] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find what would break training; exit code 3 if there is any."""
    from trtdream.data.lists import write_good
    from trtdream.data.progress import tracked
    from trtdream.data.scan import good
    from trtdream.data.scan import scan as scan_source
    from trtdream.data.sources import open_source
    from trtdream.errors import InputRefused
    from trtdream.files import refuse_overwrite

    if output is not None:
        refuse_overwrite(output, force)
    opened = open_source(source, root)
    with tracked(len(opened), "scanning") as advance:
        faults = scan_source(opened, classes, workers or cores(), deep, advance)
    fine = good(opened, faults)
    if output is not None:
        write_good(output, opened, fine)
    if as_json:
        print_json({"count": len(opened), "good": len(fine), "faults": [asdict(fault) for fault in faults]})
    else:
        shown = table("sample", "name", "fault", "what it is", right=("sample",))
        for fault in faults:
            shown.add_row(str(fault.index), fault.name, fault.kind, fault.detail)
        if faults:
            results.print(shown)
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(fault.kind for fault in faults).items())
        results.print(f"{len(opened)} samples, {len(fine)} good" + (f"; {kinds}" if kinds else ""))
    if faults:
        raise InputRefused(
            f"{source}: {len(opened) - len(fine)} samples would break training or are listed twice: "
            + (f"train on {output}" if output else "write a list of the good ones with -o")
        )
