"""`trtdream bench compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli.bench import commands
from trtdream.console import results, table


@commands.command()
def compare(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="Written by --json.")],
    after: Annotated[Path, typer.Argument(metavar="B.json", help="Written by --json.")],
) -> None:
    """Two results side by side: ratios, and which changes are more than noise."""
    from trtdream.bench.compare import compare
    from trtdream.bench.results import read_results

    found = compare(read_results(before), read_results(after))
    columns = ("what", "part", "A, ms", "B, ms", "B / A", "")
    shown = table(*columns, right=columns[2:5])
    for change in found.changes:
        verdict = ("faster" if change.ratio < 1 else "slower") if change.beyond_noise else "within noise"
        times = (f"{change.before_ms:.4g}", f"{change.after_ms:.4g}", f"{change.ratio:.3f}")
        shown.add_row(change.name, change.part, *times, verdict)
    results.print(shown)
    for file, names in ((before, found.only_before), (after, found.only_after)):
        if names:
            results.print(f"only in {file.name}: {', '.join(names)}", markup=False)
    for file, doubts in zip((before, after), found.doubts, strict=True):
        for doubt in doubts:
            results.print(f"doubtful, {file.name}: {doubt}", markup=False)
    for difference in found.differences:
        results.print(f"differs: {difference}", markup=False)
