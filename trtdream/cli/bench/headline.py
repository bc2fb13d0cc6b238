"""`trtdream bench` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from trtdream.cli.options import DeviceOption, ForceOption
from trtdream.console import results, say, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trtdream.bench.results import Row


@commands.callback(invoke_without_command=True)
def headline(
    context: typer.Context,
    device: DeviceOption = "auto",
    file: FileOption = None,
    report: ReportOption = None,
    force: ForceOption = False,
) -> None:
    """What this machine does, beside published figures: a table in under two minutes.

    --report measures CaffeNet and GoogLeNet layer by layer too, and over batches: some minutes more.
    """
    if context.invoked_subcommand is not None:
        return
    files = Files(file, report, force)
    from trtdream.bench.conditions import Conditions
    from trtdream.bench.details import details
    from trtdream.bench.headline import headline
    from trtdream.bench.limits import limits_of
    from trtdream.bench.results import Result
    from trtdream.bench.subject import Setting
    from trtdream.runtime.device import pick_device

    device = pick_device(device)
    limits, setting = limits_of(device), Setting(device=device)
    with Conditions(device) as conditions:
        rows = list(headline(setting, limits, lambda part: say(f"measuring {part} ...")))
    _print(rows)
    print_seen(conditions.seen)
    settings = {"device": device, "precision": setting.precision}
    result = Result("headline", settings, rows, limits, (), conditions.seen)
    further = list(details(rows, setting, limits, lambda part: say(f"measuring {part} ..."))) if report else []
    files.write(result, *further)


def _print(rows: Sequence[Row]) -> None:
    from trtdream.bench.headline import beside

    right = ("batch", "ms", "ms/image", "images/s", "of the limit", "published, ms/image")
    shown = table("what", "part", *right, "on", "ratio", right=right)
    for row in rows:
        if row.timing is None:
            shown.add_row(row.name, row.part, "", "-", "", "", "", "", "", f"not measured: {row.absent}")
            continue
        cells = [row.name, row.part, *_numbers(row)]
        published = beside(row.name, row.part, row.extra)
        for index, figure in enumerate(published):
            ratio = "not comparable (another batch)" if figure.ratio is None else f"{figure.ratio:.3g}"
            shown.add_row(*(cells if index == 0 else [""] * 7), f"{figure.ms_per_image:.3g}", figure.where, ratio)
        if not published:
            shown.add_row(*cells)
    results.print(shown)
    explain_marks(rows)
    sources = (figure.source for row in rows for figure in beside(row.name, row.part, row.extra))
    for source in dict.fromkeys(sources):
        results.print(f"published: {source}", markup=False)


def _numbers(row: Row) -> list[str]:
    each, rate = row.extra.get("ms_per_image"), row.extra.get("images_per_s")
    return [
        str(row.extra.get("images", row.extra.get("size", ""))),
        milliseconds(row),
        f"{each:.4g}" if each else "",
        f"{rate:,.1f}" if rate else "",
        of_the_limit(row),
    ]
