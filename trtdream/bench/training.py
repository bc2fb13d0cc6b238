"""Where a training step's time goes: the real loop, with its log and its metrics, in a folder that is thrown away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from trtdream.bench.clock import clock_for
from trtdream.bench.limits import Limits, bound_of_all
from trtdream.bench.marked import WINDOWS, MarkedStep, WatchedFeeding
from trtdream.bench.memory import peak_memory, restart_peak
from trtdream.bench.products import TF32
from trtdream.bench.results import Row, per_image
from trtdream.bench.subject import halving
from trtdream.bench.timing import STABLE, Timing, timing_of
from trtdream.bench.work import Work
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
from trtdream.train.saving import Saving
from trtdream.train.step import Step
from trtdream.train.world import World

_WARM_UP_RECORDED = 8  # iterations in which a step is compiled, and recorded as a CUDA graph
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
        works: what an iteration has to do, by the parts that compute; "step" is all of it.
        precision: what the ceilings call that of the products.
    """

    parts: Mapping[str, Timing]
    whole: Timing
    images: int
    display: int
    form: str
    apart: bool
    peak_bytes: int | None
    works: Mapping[str, Sequence[Work]] = field(default_factory=dict)
    precision: str = "float32"

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
    display = max(1, min(recipe.solver.display or 1, iterations // WINDOWS))
    device = device_of(recipe)
    asked = resolve_compute(recipe, device, World())
    windows: list[Metric] = []
    with TemporaryDirectory() as name:
        short = _shortened(recipe, asked, Path(name))
        restart_peak(device.type)
        on_part("the parts of a step")
        with _Assembled(_of_length(short, 1, (WINDOWS + 1) * display)) as saving:
            marked = MarkedStep(saving.step, clock_for(device.type))
            feeding = WatchedFeeding(saving.feeding)
            _run(saving, marked, feeding, lambda _: marked.iteration_done(feeding.take()))
            parts, works = marked.timings(display), marked.works(asked.dtype.itemsize)
        on_part("whole steps")
        apart = asked.compile or asked.cuda_graph
        warming = max(1, ceil(_WARM_UP_RECORDED / display)) if apart else 1
        with _Assembled(_of_length(short, display, (warming + WINDOWS) * display + 1)) as saving:
            _run(saving, saving.step, saving.feeding, windows.append)
    images = recipe.data.train.batch * recipe.solver.iter_size
    paces = [images / one.images_per_second * 1e3 for one in windows if one.images_per_second][-WINDOWS:]
    whole = timing_of(paces, warming * display + 1, _settled(paces))
    precision = TF32 if asked.tf32 else str(asked.dtype).removeprefix("torch.")
    peak = peak_memory(device.type)
    return StepTime(parts, whole, images, display, asked.describe(), apart, peak, works, precision)


def time_recipe(recipe: Recipe, iterations: int, on_part: Callable[[str], None] = lambda _: None) -> StepTime:
    """`time_training`, with half the batch, and half of that, while the memory does not suffice; that is said."""

    def run(batch: int) -> StepTime:
        train = recipe.data.train.model_copy(update={"batch": batch})
        data = recipe.data.model_copy(update={"train": train})
        return time_training(recipe.model_copy(update={"data": data}), iterations, on_part)

    return halving(recipe.data.train.batch, run)


def rows_of_step(found: StepTime, limits: Limits) -> list[Row]:
    """Each part, then the whole."""
    rows = [
        Row("step", part, timing, extra=share_of_limit(found, part, limits)) for part, timing in found.parts.items()
    ]
    extra = {**per_image(found.whole, found.images), "form": found.form, "peak_bytes": found.peak_bytes}
    return [*rows, Row("step", "whole", found.whole, extra={**extra, **share_of_limit(found, "step", limits)})]


def share_of_limit(found: StepTime, part: str, limits: Limits) -> dict[str, Any]:
    """How near a part, or all as "step", comes to the machine's ceilings; nothing for one that only waits."""
    if part not in found.works:
        return {}
    timing = found.parts.get(part, found.whole)
    return bound_of_all(timing.median_ms, found.works[part], found.precision, limits).as_document()


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


def _settled(paces: Sequence[float]) -> bool:
    return max(paces) <= STABLE * min(paces)
