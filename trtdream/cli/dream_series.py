"""What `trtdream dream` prints while it dreams into a folder, a film or a zoom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from trtdream.console import print_json, progress, results, say

if TYPE_CHECKING:
    from trtdream.dream.film.job import Job
    from trtdream.dream.film.series import Series


def dream_series(job: Job, as_json: bool) -> None:
    """Run a job; exits 1 if a picture failed, 130 if it was interrupted."""
    from trtdream.dream.film.series import Told
    from trtdream.dream.watch import Watch

    for note in job.notes:
        say(note)
    say(f"{job.count} pictures from {job.asked.source}, into {job.work.folder}")
    with progress() as bar:
        task = bar.add_task("dreaming", total=job.count)
        told = Told(
            on_frame=lambda name: bar.update(task, description=name),
            on_done=lambda _: bar.advance(task),
            watch=Watch(on_note=say),
        )
        series = job.run(told)
    for failed in series.failed:
        say(f"failed: {failed.reason}")
    if not series.interrupted:
        job.finish(series)
    _report(job, series, as_json)


def _report(job: Job, series: Series, as_json: bool) -> None:
    from trtdream.runtime.model import as_document

    made = job.film if job.film and not series.interrupted else job.work.folder
    if as_json:
        failed = [vars(each) for each in series.failed]
        print_json(as_document(job.dreamer.model, made=str(made), pictures=len(series.names), failed=failed))
    else:
        results.print(f"{made}\n{job.dreamer.model.line}", markup=False)
    if series.interrupted:
        say(f"interrupted: what is done lies in {job.work.folder}; the same command goes on from there")
        raise typer.Exit(130)
    if series.failed:
        say(f"{len(series.failed)} of {len(series.names)} pictures failed")
        raise typer.Exit(1)
