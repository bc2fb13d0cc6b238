"""What the `bench` commands share: options of their results, marks, files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trtdream.console import results, say, table

if TYPE_CHECKING:
    from trtdream.bench.conditions import Seen
    from trtdream.bench.results import Result, Row

MARK = " *"

FileOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the results there, for `bench compare`.")
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="FILE.html", help="Write a page with plots there, in one file.")
]


@dataclass(frozen=True)
class Files:
    """Where results go beside the terminal. Made before the work, so that a name that cannot be is said at once."""

    json: Path | None
    report: Path | None
    force: bool

    def __post_init__(self) -> None:
        from trtdream.files import refuse_overwrite

        for file in (self.json, self.report):
            if file is not None:
                refuse_overwrite(file, self.force)

    def write(self, result: Result, *further: Result) -> None:
        """The result as JSON; it and further ones as a page."""
        from trtdream.bench.report import write_report
        from trtdream.bench.results import write_results

        if self.json is not None:
            write_results(self.json, result.document())
            say(f"{self.json}")
        if self.report is not None:
            write_report(self.report, [one.document() for one in (result, *further)])
            say(f"{self.report}")


def milliseconds(row: Row) -> str:
    """A row's median, marked if it is doubtful."""
    return "-" if row.timing is None else f"{row.timing.median_ms:.4g}{MARK if row.doubts else ''}"


def of_the_limit(row: Row) -> str:
    """How much of which of the machine's ceilings a row reached, where that is known."""
    return f"{row.extra['of_limit']:.0%} ({row.extra['limit']})" if "limit" in row.extra else ""


def explain_marks(rows: Sequence[Row]) -> None:
    """What the marks mean, if there are any."""
    measured = [row for row in rows if row.timing is not None]
    doubtful = [row for row in measured if row.doubts]
    if not doubtful:
        return
    widest = max(row.timing.spread for row in doubtful if row.timing)
    results.print(
        f"* not to be trusted, {len(doubtful)} of {len(measured)}: four runs of five lie more than 2.5 % apart (up to"
        f" {widest:.0%}), or the warm-up did not settle"
    )
    for row in doubtful:
        for warning in row.warnings:
            results.print(f"* {row.name}, {row.part}: {warning}", markup=False)


def print_seen(seen: Seen, doubts: Sequence[str] = ()) -> None:
    """What keeps all of a result from being trusted; and a GPU's clocks."""
    from trtdream.bench.nvml import NO_GPU

    for doubt in (*doubts, *seen.doubts):
        results.print(f"doubtful: {doubt}", markup=False)
    clocks = seen.clocks
    if "median_mhz" in clocks:
        results.print(f"clocks: {clocks['median_mhz']} of {clocks['limit_mhz']} MHz, lowest {clocks['least_mhz']}")
    elif clocks["absent"] != NO_GPU:
        results.print(f"clocks not read: {clocks['absent']}", markup=False)


def print_rows(rows: Sequence[Row]) -> None:
    """A plain table of rows: percentiles and throughput where they tell something."""
    right = ("p50, ms", "p90, ms", "p99, ms", "images/s", "of the limit")
    shown = table("what", "part", *right, "", right=right)
    for row in rows:
        if row.timing is None:
            shown.add_row(row.name, row.part, "-", "", "", "", "", f"not measured: {row.absent}")
            continue
        rate = row.extra.get("images_per_s")
        tail = (f"{row.timing.p90_ms:.4g}", f"{row.timing.p99_ms:.4g}", f"{rate:,.1f}" if rate else "")
        shown.add_row(row.name, row.part, milliseconds(row), *tail, of_the_limit(row), "")
    results.print(shown)
    explain_marks(rows)
