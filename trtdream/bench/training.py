"""Where a training step's time goes: the real loop, with its log and its metrics, in a folder that is thrown away."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from trtdream.bench.clock import Clock, clock_for
from trtdream.bench.memory import peak_memory, restart_peak
from trtdream.bench.results import Row, per_image
from trtdream.bench.subject import halving
from trtdream.bench.timing import STABLE, Timing, timing_of
from trtdream.net.graph import Graph
from trtdream.recipe.schema import Recipe
from trtdream.train.assemble import assemble, device_of
from trtdream.train.compute import Compute, apply_settings, resolve_compute
from trtdream.train.feeding import Feeding
from trtdream.train.interrupts import Interrupts
from trtdream.train.log import Log
from trtdream.train.loop import Parts, Training
from trtdream.train.metrics import Metric, Metrics
from trtdream.train.progress import Progress
from trtdream.train.report import Report
from trtdream.train.rules import Rate
from trtdream.train.saving import Saving
from trtdream.train.step import Inputs, Outcome, Step
from trtdream.train.world import World

_WARM_UP_RECORDED = 8  # iterations in which a step is compiled, and recorded as a CUDA graph
_WINDOWS = 5  # from display to display; one before them warms up
PARTS = ("wait for data", "forward", "backward", "update", "logging")
_TOLERANCE = 0.1


@dataclass(frozen=True)
class StepTime:
    """A training iteration by its parts, and as a whole, measured alone.

    Attributes:
        parts: by PARTS; logging is what a display takes over the iterations from one to the next, with the loop's own
            work. They are measured on the plain step, waiting for the device after each iteration.
        whole: as the loop itself measures it between two displays, in the form that the recipe asks for.
        images: of an iteration.
        form: what the recipe computes in, in words.
        apart: whether the parts are of another form than the whole: a compiled one or a CUDA graph has no parts.
    """

    parts: Mapping[str, Timing]
    whole: Timing
    images: int
    display: int
    form: str
    apart: bool
    peak_bytes: int | None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What keeps the parts from being trusted."""
        share = sum(timing.median_ms for timing in self.parts.values()) / self.whole.median_ms
        if self.apart or abs(share - 1) <= _TOLERANCE:
            return ()
        return (f"the parts add up to {share:.0%} of the whole measured alone",)


def time_training(recipe: Recipe, iterations: int, on_part: Callable[[str], None] = lambda _: None) -> StepTime:
    """Train some iterations twice: with marks between the parts, and as it is.

    Args:
        iterations: about how many are measured each time; no tests are made and no snapshots.
        on_part: told what is measured next.

    Raises:
        UsageError, InputRefused: whatever is wrong with the recipe's nets, data or settings.
        TrtdreamError: the loss is not finite.
    """
    display = max(1, min(recipe.solver.display or 1, iterations // _WINDOWS))
    device = device_of(recipe)
    asked = resolve_compute(recipe, device, World())
    windows: list[Metric] = []
    with TemporaryDirectory() as name:
        short = _shortened(recipe, asked, Path(name))
        restart_peak(device.type)
        on_part("the parts of a step")
        with _Assembled(_of_length(short, 1, (_WINDOWS + 1) * display)) as saving:
            marked = _MarkedStep(saving.step, clock_for(device.type))
            feeding = _WatchedFeeding(saving.feeding)
            _run(saving, marked, feeding, lambda _: marked.iteration_done(feeding.take()))
            parts = marked.timings(display)
        on_part("whole steps")
        apart = asked.compile or asked.cuda_graph
        warming = max(1, ceil(_WARM_UP_RECORDED / display)) if apart else 1
        with _Assembled(_of_length(short, display, (warming + _WINDOWS) * display + 1)) as saving:
            _run(saving, saving.step, saving.feeding, windows.append)
    images = recipe.data.train.batch * recipe.solver.iter_size
    paces = [images / one.images_per_second * 1e3 for one in windows if one.images_per_second][-_WINDOWS:]
    whole = timing_of(paces, warming * display + 1, _settled(paces))
    return StepTime(parts, whole, images, display, asked.describe(), apart, peak_memory(device.type))


def time_recipe(recipe: Recipe, iterations: int, on_part: Callable[[str], None] = lambda _: None) -> StepTime:
    """`time_training`, with half the batch, and half of that, while the memory does not suffice; that is said."""

    def run(batch: int) -> StepTime:
        train = recipe.data.train.model_copy(update={"batch": batch})
        data = recipe.data.model_copy(update={"train": train})
        return time_training(recipe.model_copy(update={"data": data}), iterations, on_part)

    return halving(recipe.data.train.batch, run)


def rows_of_step(found: StepTime) -> list[Row]:
    """Each part, then the whole."""
    rows = [Row("step", part, timing) for part, timing in found.parts.items()]
    extra = {**per_image(found.whole, found.images), "form": found.form, "peak_bytes": found.peak_bytes}
    return [*rows, Row("step", "whole", found.whole, extra=extra)]


def _shortened(recipe: Recipe, compute: Compute, folder: Path) -> Recipe:
    """The same training without tests and snapshots; compiled if the whole training would be."""
    run = {"folder": folder, "snapshot": 0, "snapshot_after_train": False}
    changes: dict[str, Any] = {
        "run": recipe.run.model_copy(update=run),
        "data": recipe.data.model_copy(update={"test": []}),
        "speed": recipe.speed.model_copy(update={"compile": compute.compile}),
    }
    return recipe.model_copy(update=changes)


def _of_length(recipe: Recipe, display: int, iterations: int) -> Recipe:
    solver = {"display": display, "max_iter": iterations, "test_interval": 0}
    return recipe.model_copy(update={"solver": recipe.solver.model_copy(update=solver)})


class _Assembled:
    """A training put together, its loader closed at the end."""

    def __init__(self, recipe: Recipe) -> None:
        self._saving, compute = assemble(recipe, World(), device_of(recipe))
        apply_settings(compute, recipe.run.deterministic)

    def __enter__(self) -> Saving:
        return self._saving

    def __exit__(self, *_: object) -> None:
        self._saving.feeding.loader.close()


def _run(saving: Saving, step: Step, feeding: Feeding, on_metric: Callable[[Metric], None]) -> None:
    folder = saving.recipe.run.folder
    log, metrics = Log(folder / "train.log"), Metrics(folder)
    try:
        report = Report(log, metrics, step, [], folder / "curves.png", on_metric)
        parts = Parts(saving.recipe, saving.world, step, feeding, [], report, lambda _: None)
        Training(parts, Progress(), Interrupts()).run()
    finally:
        metrics.close()
        log.close()


class _WatchedFeeding(Feeding):
    """Notes how long its batches were waited for."""

    def __init__(self, feeding: Feeding) -> None:
        super().__init__(feeding.loader, feeding.pictures)
        self._waited = 0.0

    def next(self, graph: Graph) -> Inputs:
        start = time.perf_counter()
        inputs = super().next(graph)
        self._waited += time.perf_counter() - start
        return inputs

    def take(self) -> float:
        """Milliseconds since this was last asked."""
        waited, self._waited = self._waited, 0.0
        return waited * 1e3


class _MarkedStep(Step):
    """The plain step of a training, its parts marked."""

    def __init__(self, step: Step, clock: Clock) -> None:
        super().__init__(step.net, step.update, step.world)
        self._clock = clock
        self._forwards: list[list[Any]] = []
        self._iterations: list[dict[str, float]] = []
        self._last = time.perf_counter()
        self._inside = 0.0
        self.net.register_forward_pre_hook(lambda *_: self._forwards.append([clock.mark()]))
        self.net.register_forward_hook(lambda *_: self._forwards[-1].append(clock.mark()))

    def run(self, batches: Sequence[Inputs], rate: Rate) -> Outcome:
        clock, began = self._clock, time.perf_counter()
        self._forwards.clear()
        start = clock.mark()
        self.update.forget_gradients()
        loss, outputs = self.forward_backward(batches)
        turned = clock.mark()
        self.update.apply(rate)
        end = clock.mark()
        clock.wait()
        forward = sum(clock.between(*marks) for marks in self._forwards)
        backward = clock.between(start, turned) - forward
        parts = {"forward": forward, "backward": backward, "update": clock.between(turned, end)}
        self._iterations.append(parts)
        self._inside = (time.perf_counter() - began) * 1e3
        return Outcome(loss, outputs)

    def iteration_done(self, waited_ms: float) -> None:
        """The display of the iteration is done too: what was neither waiting nor computing was its cost."""
        now = time.perf_counter()
        whole = (now - self._last) * 1e3
        self._iterations[-1] |= {"wait for data": waited_ms, "logging": whole - waited_ms - self._inside}
        self._last = now

    def timings(self, display: int) -> dict[str, Timing]:
        """By part, each sample the mean of the iterations from one display to the next; a display's cost shared out."""
        done = [one for one in self._iterations if "logging" in one]
        last = done[-_WINDOWS * display :]
        found = {}
        for part in PARTS:
            share = display * display if part == "logging" else display
            each = [one[part] for one in last]
            means = [sum(each[start : start + display]) / share for start in range(0, len(each), display)]
            found[part] = timing_of(means, len(done) - len(last))
        return found


def _settled(paces: Sequence[float]) -> bool:
    return max(paces) <= STABLE * min(paces)
