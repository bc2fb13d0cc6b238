"""`trtdream doctor`: what this machine has, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from trtdream.cli import app
from trtdream.console import print_json, results, table
from trtdream.errors import TrtdreamError

if TYPE_CHECKING:
    from trtdream.runtime.doctor import Report


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show versions, GPUs and backends, each really tried, and what is missing."""
    from dataclasses import asdict

    from trtdream.runtime.doctor import examine

    report = examine()
    if as_json:
        print_json(asdict(report) | {"broken": report.broken})
    else:
        _show(report)
    if report.broken:
        raise TrtdreamError(f"present but broken: {'; '.join(report.broken)}")


def _show(report: Report) -> None:
    results.print(f"trtdream {report.trtdream}, Python {report.python}, {report.system}", markup=False)
    gpus = report.cuda.get("gpus", ())
    for gpu in gpus:
        driver = f"driver {report.cuda['driver']}, CUDA {report.cuda['version']}"
        memory = f"{gpu['memory'] / 2**30:.0f} GiB"
        results.print(f"GPU {gpu['name']}, {memory}, sm {gpu['capability']}, {driver}", markup=False)
    if not gpus:
        reason = report.cuda.get("trouble") or report.cuda.get("detail")
        results.print(f"GPU none ({reason})", markup=False)

    packages = table("package", "version", "CUDA", "for")
    for package in report.packages:
        if package.status != "missing":
            version = package.version or f"broken: {package.detail}"
            packages.add_row(package.name, escape(version), package.cuda or "", package.purpose)
    runs = table("backend", "provider", "y = x + x", "")
    for run in report.runs:
        runs.add_row(run.backend, run.provider, run.status, escape(run.detail or ""))
    missing = table("missing", "for", "add it with")
    for package in report.packages:
        if package.status == "missing":
            missing.add_row(package.name, package.purpose, package.command)
    weights = table("weights", "where")
    for file in report.weights:
        weights.add_row(file.name, escape(file.path) if file.path else f"not here: trtdream fetch {file.name}")
    for shown in (packages, runs, missing, weights):
        if shown.row_count:
            results.print()
            results.print(shown)
    for note in report.notes:
        results.print(f"note: {note}", markup=False)
