"""A training from beginning to end."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trtdream.data.sheet import captions, seen, write_sheet
from trtdream.errors import UsageError
from trtdream.files import write_file
from trtdream.net.torch_module import Loaded
from trtdream.recipe.load import dump
from trtdream.recipe.schema import Recipe
from trtdream.train.assemble import assemble, device_of, fine_tune
from trtdream.train.compute import Compute, apply_settings
from trtdream.train.exchange import resume_from_caffe
from trtdream.train.interrupts import listening
from trtdream.train.log import Log
from trtdream.train.loop import Parts, Progress, Stopped, Training
from trtdream.train.metrics import Metric, Metrics
from trtdream.train.saving import Saving, snapshot_bytes
from trtdream.train.snapshot import (
    find_snapshot,
    keep_newest,
    list_snapshots,
    probe,
    read_snapshot,
    remove_leftovers,
    snapshot_path,
    write_snapshot,
)
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

    line: Callable[[str], None] = lambda _: None
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

    Raises:
        UsageError: a recipe or an option that cannot be; snapshots in the folder that nobody said to go on from.
        InputRefused: data, weights or a snapshot that is damaged or does not fit.
        TrtdreamError: the loss stopped being a number; no space to begin with.
    """
    with joined(device_of(recipe).type) as world:
        _refuse_to_mix(recipe.run.folder, choice)
        device = device_of(recipe, world)
        saving, compute = assemble(recipe, world, device)
        apply_settings(compute, recipe.run.deterministic)
        if world.is_first:
            _make_ready(recipe.run.folder, anew=choice.resume is None)
        world.wait()
        log = Log(recipe.run.folder / ("train.log" if world.is_first else f"train.{world.rank}.log"), watching.line)
        try:
            return _train(saving, compute, choice, watching, log)
        finally:
            log.close()
            for feeding in (saving.feeding, *(test.feeding for test in saving.tests)):
                feeding.loader.close()


def _train(saving: Saving, compute: Compute, choice: Choice, watching: Watching, log: Log) -> Result:
    recipe, world = saving.recipe, saving.world
    progress = _begin(saving, choice, watching, log)
    _leave_behind(recipe.run.folder, progress.iteration, choice.force)
    if world.is_first:
        _before(saving, compute, progress, log)
    metrics = Metrics(recipe.run.folder, progress.iteration) if world.is_first else None
    parts = Parts(
        recipe,
        world,
        saving.step,
        saving.feeding,
        saving.tests,
        log,
        metrics,
        lambda progress: _save(saving, progress),
        watching.metric,
    )
    stopped = ""
    with listening() as interrupts:
        training = Training(parts, progress, interrupts)
        training.last_snapshot = next(reversed(list_snapshots(recipe.run.folder)), None)
        try:
            training.run()
        except Stopped as reason:
            stopped = str(reason)
        finally:
            if metrics is not None:
                metrics.close()
    window = progress.loss_window
    loss = sum(window) / len(window) if window else None
    snapshot, test = training.last_snapshot, progress.last_test
    return Result(recipe.run.folder, progress.iteration, snapshot, loss, test, progress.seconds, stopped)


def _refuse_to_mix(folder: Path, choice: Choice) -> None:
    """A folder with snapshots is gone on with, or trained in anew by force; never by accident."""
    there = list_snapshots(folder)
    if there and choice.resume is None and not choice.force:
        raise UsageError(
            f"{folder}: holds a run already (last snapshot {there[-1].name}): --resume latest goes on with it, "
            "run.folder=OTHER trains elsewhere, --force starts anew in its place"
        )


def _make_ready(folder: Path, anew: bool) -> None:
    """Away with what a killed run left; for a run that starts anew, with the old one too."""
    remove_leftovers(folder)
    if anew:
        for snapshot in list_snapshots(folder):
            shutil.rmtree(snapshot)
        for name in ("train.log", "metrics.jsonl", "curves.png"):
            (folder / name).unlink(missing_ok=True)


def _begin(saving: Saving, choice: Choice, watching: Watching, log: Log) -> Progress:
    """Fresh weights, those of another training, or a run as it was."""
    weights = saving.recipe.net.weights
    if choice.resume is not None and choice.resume.endswith(".solverstate"):
        log.line(f"Resuming from {choice.resume}")
        return resume_from_caffe(saving, Path(choice.resume))
    if choice.resume is not None:
        snapshot = read_snapshot(find_snapshot(choice.resume, saving.recipe.run.folder))
        progress = saving.restore(snapshot)
        log.line(f"Resuming from {snapshot.path}")
        if snapshot.state.ranks != saving.world.size:
            before = f"It was trained by {snapshot.state.ranks} processes, not {saving.world.size}"
            log.line(f"{before}: it goes on, but not to the bit", "W")
        return progress
    if weights is not None:
        log.line(f"Finetuning from {weights}")
        watching.loaded(fine_tune(saving.step.net, weights, choice.offline))
    return Progress(loss_window=deque())


def _leave_behind(folder: Path, iteration: int, force: bool) -> None:
    """Snapshots later than the one a run goes on from would be taken for its own; they go, if that is wanted."""
    later = [path for path in list_snapshots(folder) if int(path.name.removeprefix("iter_")) > iteration]
    if later and not force:
        raise UsageError(
            f"{folder}: holds later snapshots than iteration {iteration} (up to {later[-1].name}): run.folder=OTHER "
            "goes on elsewhere, --force removes them"
        )
    for path in later:
        shutil.rmtree(path, ignore_errors=True)


def _before(saving: Saving, compute: Compute, progress: Progress, log: Log) -> None:
    """Say what will run, see that snapshots can be written, and show the first batch."""
    recipe, update = saving.recipe, saving.step.update
    probe(recipe.run.folder, snapshot_bytes(update))
    write_file(recipe.run.folder / "recipe.yaml", dump(recipe))
    count, batch = len(saving.feeding.loader.source), recipe.data.train.batch * recipe.solver.iter_size
    parameters = sum(weight.tensor.numel() for weight in update.weights)
    log.line(f"{saving.step.net.graph.net.name}: {parameters} parameters, {compute.describe()}")
    log.line(
        f"{count} images, {batch} an iteration, {recipe.solver.max_iter} iterations "
        f"({recipe.solver.max_iter * batch / count:.3g} passes), {saving.world.size} process(es)"
    )
    log.line(f"A snapshot takes {snapshot_bytes(update) / 1e6:.3g} MB, {recipe.run.keep} are kept")
    if progress.iteration == 0:
        _show_first_batch(saving, recipe.run.folder / "batch.png")


def _show_first_batch(saving: Saving, path: Path) -> None:
    loader = saving.feeding.loader
    before = loader.state_dict()
    batch = next(loader)
    shown = captions(loader.source, batch)[:64]
    made_by = {"recipe": saving.recipe.model_dump(mode="json")["data"]["train"]}
    write_sheet(path, seen(loader, batch)[:64], shown, 8, made_by)
    loader.load_state_dict(before)


def _save(saving: Saving, progress: Progress) -> Path | None:
    tensors = saving.tensors()
    if not saving.world.is_first:
        return None
    folder = saving.recipe.run.folder
    path = snapshot_path(folder, progress.iteration)
    write_snapshot(path, saving.bundle(progress.iteration), saving.state(progress), tensors)
    keep_newest(folder, saving.recipe.run.keep)
    return path
