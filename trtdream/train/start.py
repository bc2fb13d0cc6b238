"""The start of a run: fresh weights, those of another training or a run as it was; and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trtdream.data.sheet import captions, seen, write_sheet
from trtdream.files import write_file
from trtdream.net.torch_module import Loaded
from trtdream.recipe.load import dump
from trtdream.train.assemble import fine_tune
from trtdream.train.compute import Compute
from trtdream.train.exchange import resume_from_caffe
from trtdream.train.log import Entry, Log
from trtdream.train.progress import Progress
from trtdream.train.saving import Saving, snapshot_bytes
from trtdream.train.snapshot import find_snapshot, read_snapshot


@dataclass(frozen=True)
class Start:
    """Where a run starts, the snapshot it goes on from, and what is to be said of it."""

    progress: Progress
    resumed: Path | None = None
    entries: tuple[Entry, ...] = ()


def begin(saving: Saving, resume: str | None, offline: bool, loaded: Callable[[Loaded], None]) -> Start:
    """Put weights, solver and data to where the run starts. Nothing is written.

    Args:
        resume: `latest`, a snapshot's path, or a .solverstate of Caffe's; None to start anew.
        loaded: is told what fine-tuning took from its weights.

    Raises:
        UsageError, InputRefused: nothing to go on from, or something damaged or of another net.
    """
    if resume is None:
        return Start(Progress(), entries=_fine_tuned(saving, offline, loaded))
    if resume.endswith(".solverstate"):
        said = Entry(f"Resuming from {resume}")
        return Start(resume_from_caffe(saving, Path(resume)), Path(resume), (said,))
    snapshot = read_snapshot(find_snapshot(resume, saving.recipe.run.folder))
    said, ranks = Entry(f"Resuming from {snapshot.path}"), snapshot.state.ranks
    others = Entry(f"It was trained by {ranks} processes, not {saving.world.size}: it goes on, not to the bit", "W")
    entries = (said,) if ranks == saving.world.size else (said, others)
    return Start(saving.restore(snapshot), snapshot.path, entries)


def announce(saving: Saving, compute: Compute, free: int, log: Log) -> None:
    """Say what will run, and how much of the `free` bytes on the disk its snapshots take."""
    recipe, update = saving.recipe, saving.step.update
    solver, run = recipe.solver, recipe.run
    count, batch = len(saving.feeding.loader.source), recipe.data.train.batch * solver.iter_size
    parameters = sum(weight.tensor.numel() for weight in update.weights)
    log.line(f"{saving.step.net.graph.net.name}: {parameters} parameters are trained, on {compute.describe()}")
    passes = solver.max_iter * batch / count
    log.line(
        f"{count} images, {batch} an iteration, {solver.max_iter} iterations ({passes:.3g} passes), "
        f"{saving.world.size} process(es)"
    )
    for index, tester in enumerate(saving.tests if solver.test_interval else ()):
        images, there = tester.iterations * tester.feeding.pictures.batch, len(tester.feeding.loader.source)
        log.line(f"Test net #{index}: {images} images of {there} every {solver.test_interval} iterations")
    each = snapshot_bytes(update)
    most = each * (run.keep + 1)  # one more while it is written
    log.line(f"A snapshot takes {_size(each)}, {run.keep} are kept: {_size(most)} at most, {_size(free)} are free")
    if saving.step.device.type == "cuda" and not run.deterministic:
        log.line("Resumed on this GPU it goes on, not to the bit: run.deterministic=true would, and be slower")
    if free < most:
        log.line("There is room for one snapshot, but not for all that are kept: lower run.keep, or make room", "W")


def write_down(saving: Saving, at_start: bool) -> None:
    """Write the recipe and, of a run that starts, its first batch as a picture."""
    folder = saving.recipe.run.folder
    write_file(folder / "recipe.yaml", dump(saving.recipe))
    if at_start:
        _show_first_batch(saving, folder / "batch.png")


def _fine_tuned(saving: Saving, offline: bool, loaded: Callable[[Loaded], None]) -> tuple[Entry, ...]:
    weights = saving.recipe.net.weights
    if weights is None:
        return ()
    taken = fine_tune(saving.step.net, weights, offline)
    if saving.world.is_first:
        loaded(taken)
    return (Entry(f"Finetuning from {weights}"),)


def _show_first_batch(saving: Saving, path: Path) -> None:
    loader = saving.feeding.loader
    before = loader.state_dict()
    batch = next(loader)
    shown = captions(loader.source, batch)[:64]
    made_by = {"recipe": saving.recipe.model_dump(mode="json")["data"]["train"]}
    write_sheet(path, seen(loader, batch)[:64], shown, 8, made_by)
    loader.load_state_dict(before)


def _size(count: int) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
