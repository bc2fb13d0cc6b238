"""A training from beginning to end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from trtdream.errors import UsageError
from trtdream.net.torch_module import Loaded
from trtdream.recipe.load import missing_files
from trtdream.recipe.schema import Recipe
from trtdream.train.assemble import assemble, device_of
from trtdream.train.compute import Compute, apply_settings
from trtdream.train.folder import clear, clear_later, refuse_later, refuse_to_mix
from trtdream.train.interrupts import listening
from trtdream.train.log import Entry, Log
from trtdream.train.loop import Parts, Stopped, Training
from trtdream.train.metrics import Metric, Metrics
from trtdream.train.progress import Progress
from trtdream.train.report import Report
from trtdream.train.saving import Saving, snapshot_bytes
from trtdream.train.snapshot import keep_newest, list_snapshots, probe, snapshot_path, write_snapshot
from trtdream.train.start import Start, announce, begin, write_down
from trtdream.train.world import joined


@dataclass(frozen=True)
class Choice:
    """What a user says beside the recipe."""

    resume: str | None = None
    force: bool = False
    offline: bool = False


@dataclass(frozen=True)
class Watching:
    """Where a run's lines and numbers go while it runs."""

    line: Callable[[Entry], None] = lambda _: None
    metric: Callable[[Metric], None] = lambda _: None
    loaded: Callable[[Loaded], None] = lambda _: None


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    folder: Path
    iterations: int
    snapshot: Path | None
    loss: float | None
    test: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: str = ""


def train(recipe: Recipe, choice: Choice = Choice(), watching: Watching = Watching()) -> Result:
    """Train as the recipe says, in this process or, under torchrun, as one of many.

    Nothing is written, and nothing of an earlier run removed, before all that can be refused was.

    Raises:
        UsageError: a recipe or an option that cannot be; snapshots in the folder that nobody said to go on from.
        InputRefused: data, weights or a snapshot that is damaged or does not fit.
        TrtdreamError: the loss stopped being a number; no space to begin with.
    """
    folder = recipe.run.folder
    if missing := missing_files(recipe):
        named = "; ".join(f"{key}: {path} is not there" for key, path in missing.items())
        raise UsageError(f"{named}; --root FOLDER says where relative paths start")
    with joined(device_of(recipe).type) as world, ExitStack() as stack:
        if choice.resume is None and not choice.force:
            refuse_to_mix(folder)
        saving, compute = assemble(recipe, world, device_of(recipe, world))
        for feeding in (saving.feeding, *(test.feeding for test in saving.tests)):
            stack.callback(feeding.loader.close)
        apply_settings(compute, recipe.run.deterministic)
        start = begin(saving, choice.resume, choice.offline, watching.loaded)
        if start.resumed and not choice.force:
            refuse_later(folder, start.progress.iteration, start.resumed)
        free = probe(folder, snapshot_bytes(saving.step.update)) if world.is_first else 0
        world.wait()  # until all have looked
        if world.is_first:
            _make_room(folder, start)
        world.wait()
        log = Log(folder / ("train.log" if world.is_first else f"train.{world.rank}.log"), watching.line)
        stack.callback(log.close)
        return _train(saving, compute, start, log, free, watching)


def _train(saving: Saving, compute: Compute, start: Start, log: Log, free: int, watching: Watching) -> Result:
    recipe, world, progress = saving.recipe, saving.world, start.progress
    folder = recipe.run.folder
    for entry in start.entries:
        log.write(entry)
    metrics = None
    if world.is_first:
        announce(saving, compute, free, log)
        write_down(saving, at_start=progress.iteration == 0)
        metrics = Metrics(folder, progress.iteration)
    curves = folder / "curves.png"
    report = Report(log, metrics, saving.step, saving.tests, curves, watching.metric)
    parts = Parts(
        recipe, world, saving.step, saving.feeding, saving.tests, report, lambda progress: _save(saving, progress)
    )
    stopped = ""
    with listening() as interrupts:
        training = Training(parts, progress, interrupts, next(reversed(list_snapshots(folder)), None))
        try:
            training.run()
        except Stopped as reason:
            stopped = str(reason)
        finally:
            if metrics is not None:
                metrics.close()
    window = progress.loss_window
    loss = sum(window) / len(window) if window else None
    return Result(
        folder, progress.iteration, training.last_snapshot, loss, progress.last_test, progress.seconds, stopped
    )


def _make_room(folder: Path, start: Start) -> None:
    if start.resumed is None:
        clear(folder)
    else:
        clear_later(folder, start.progress.iteration, start.resumed)


def _save(saving: Saving, progress: Progress) -> Path | None:
    """Write a snapshot, once: a signal may ask for one that was just written."""
    tensors = saving.tensors()
    if not saving.world.is_first:
        return None
    folder = saving.recipe.run.folder
    path = snapshot_path(folder, progress.iteration)
    if path not in list_snapshots(folder):
        write_snapshot(path, saving.bundle(progress.iteration), saving.state(progress), tensors)
        with suppress(OSError):  # an old one too many is no reason to end a run
            keep_newest(folder, saving.recipe.run.keep)
    return path
