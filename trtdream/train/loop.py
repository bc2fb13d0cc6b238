"""The loop: Caffe's Solver::Step, with what happens around an iteration in Caffe's order.

Test, train, display, update, count, snapshot. Between two displays nothing waits for the device: losses stay there.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor

from trtdream.errors import TrtdreamError
from trtdream.recipe.schema import Recipe
from trtdream.train.curves import draw_curves
from trtdream.train.evaluate import Tester, flat
from trtdream.train.feeding import Feeding
from trtdream.train.interrupts import Interrupts, Wish
from trtdream.train.log import Log, iteration_line, output_lines
from trtdream.train.metrics import Metric, Metrics
from trtdream.train.policies import learning_rate
from trtdream.train.step import Step
from trtdream.train.world import World

_LOOK_EVERY = 100  # iterations after which losses are looked at where nothing is displayed
_AGREE_EVERY = 10  # iterations after which ranks tell each other of signals
_INPUT_BOUND = 0.1


@dataclass
class Progress:
    """Where a run is: all of it goes into a snapshot."""

    iteration: int = 0
    loss_window: deque[float] = field(default_factory=deque)
    seconds: float = 0.0
    last_test: dict[str, float] = field(default_factory=dict)
    unwritten_losses: list[float] = field(default_factory=list)  # since the last display


@dataclass(frozen=True)
class Pace:
    """How fast the iterations since the last display were."""

    iterations: int
    seconds: float
    images_per_second: float
    waiting: float


@dataclass
class Parts:
    """What a training is put together from."""

    recipe: Recipe
    world: World
    step: Step
    feeding: Feeding
    tests: list[Tester]
    log: Log
    metrics: Metrics | None
    save: Callable[[Progress], Path | None]
    show: Callable[[Metric], None] = lambda _: None


class Stopped(TrtdreamError):
    """A signal stopped the run; its work was kept. Exit code 130."""

    exit_code = 130


class Training:
    """A run from where `progress` is to `max_iter`."""

    def __init__(self, parts: Parts, progress: Progress, interrupts: Interrupts) -> None:
        self.parts, self.progress, self.interrupts = parts, progress, interrupts
        self.solver = parts.recipe.solver
        self.last_snapshot: Path | None = None
        self._pending: list[Tensor] = []
        self._stopwatch = _Stopwatch(parts.feeding)
        self._warned = self._expected_said = False

    def run(self) -> None:
        """Train.

        Raises:
            TrtdreamError: the loss is not finite; the iteration and the last good snapshot are named.
            Stopped: a signal asked for it; a snapshot was written.
        """
        start, log = self.progress.iteration, self.parts.log
        log.line(f"Solving {self.parts.step.net.graph.net.name}")
        log.line(f"Learning Rate Policy: {self.solver.lr_policy}")
        while self.progress.iteration < self.solver.max_iter:
            self._test_if_due()
            self._iterate()
            self.progress.iteration += 1
            snapshot = self.parts.recipe.run.snapshot
            if snapshot and self.progress.iteration % snapshot == 0:
                self._snapshot()
            self._obey()
        if start < self.solver.max_iter:
            self._finish()

    def _iterate(self) -> None:
        parts, iteration = self.parts, self.progress.iteration
        rate = learning_rate(self.solver, iteration)
        batches = [parts.feeding.next(parts.step.net.graph) for _ in range(self.solver.iter_size)]
        outcome = parts.step.run(batches, parts.step.update.scaled(rate, iteration))
        self._stopwatch.count(sum(batch.count for batch in batches) * parts.world.size)
        self._pending.append(outcome.loss.clone())
        display = self.solver.display
        if display and iteration % display == 0:
            self._display(outcome.outputs, rate)
        elif len(self._pending) >= _LOOK_EVERY:
            self._look(iteration)

    def _look(self, last: int) -> None:
        """Bring the losses up to iteration `last` to the host; the one place where training waits for the device."""
        if not self._pending:
            return
        losses = torch.stack(self._pending)
        self.parts.world.average([losses])
        self._pending.clear()
        found: list[float] = losses.tolist()
        for iteration, loss in enumerate(found, last + 1 - len(found)):
            if not isfinite(loss):
                self._give_up(iteration, loss)
        self.progress.unwritten_losses.extend(found)
        window = self.progress.loss_window
        window.extend(found)
        while len(window) > self.solver.average_loss:
            window.popleft()

    def _give_up(self, iteration: int, loss: float) -> None:
        kept = f"the last good snapshot is {self.last_snapshot}" if self.last_snapshot else "there is no snapshot"
        message = f"iteration {iteration}: the loss is {loss}; {kept}; lower solver.base_lr, or set clip_gradients"
        self.parts.log.line(message, "E")
        raise TrtdreamError(message)

    def _display(self, outputs: dict[str, Tensor], rate: float) -> None:
        self._look(self.progress.iteration)
        self.parts.world.average(shared := [value.float() for value in outputs.values()])
        values = {name: value.reshape(-1).tolist() for name, value in zip(outputs, shared, strict=True)}
        pace = self._stopwatch.lap()
        self.progress.seconds += pace.seconds
        iteration, window = self.progress.iteration, self.progress.loss_window
        loss = sum(window) / len(window)
        log, weights = self.parts.log, self.parts.step.net.loss_weights()
        log.line(iteration_line(iteration, loss, pace.seconds, pace.iterations))
        for line in output_lines("Train", values, weights):
            log.line(line)
        log.line(f"Iteration {iteration}, lr = {rate:.6g}")
        self._warn_if_input_bound(pace)
        self._write(
            Metric(
                "train",
                iteration,
                flat(values),
                loss,
                rate,
                list(self.progress.unwritten_losses),
                pace.images_per_second,
                pace.waiting,
                self.progress.seconds,
            )
        )
        self.progress.unwritten_losses.clear()
        self._say_how_long(pace)

    def _say_how_long(self, pace: Pace) -> None:
        if not self._expected_said and pace.iterations > 1:
            self._expected_said = True
            left = (self.solver.max_iter - self.progress.iteration) * pace.seconds / pace.iterations
            self.parts.log.line(f"At this pace the rest takes {hours(left)} ({pace.images_per_second:.6g} images/s)")

    def _warn_if_input_bound(self, pace: Pace) -> None:
        if pace.waiting > _INPUT_BOUND and pace.iterations > 1 and not self._warned:
            self._warned = True
            self.parts.log.line(
                f"Input-bound: {pace.waiting:.0%} of the time is spent waiting for data; pack the pictures once "
                "(trtdream data pack), or give decoding more threads (data.threads)",
                "W",
            )

    def _test_if_due(self) -> None:
        interval, iteration = self.solver.test_interval, self.progress.iteration
        if interval and iteration % interval == 0 and (iteration > 0 or self.solver.test_initialization):
            self._test()

    def _test(self) -> None:
        with self._stopwatch.paused():
            for index, tester in enumerate(self.parts.tests):
                self.parts.log.line(f"Iteration {self.progress.iteration}, Testing net (#{index})")
                values = tester.run()
                for line in output_lines("Test", values, tester.net.loss_weights()):
                    self.parts.log.line(line)
                if index == 0:
                    self.progress.last_test = flat(values)
                self._write(Metric("test", self.progress.iteration, flat(values), set=index))
            self._draw()

    def _write(self, metric: Metric) -> None:
        if self.parts.metrics is not None:
            self.parts.metrics.write(metric)
            self.parts.show(metric)

    def _draw(self) -> None:
        if self.parts.metrics is None:
            return
        losses = {name for tester in self.parts.tests for name in tester.net.loss_weights()}
        target = self.parts.recipe.run.folder / "curves.png"
        try:
            draw_curves(target, self.parts.metrics.lines, self.parts.step.net.graph.net.name, losses)
        except TrtdreamError as error:  # no space: no reason to end a run
            self.parts.log.line(str(error), "E")

    def _snapshot(self) -> None:
        """Write one, after looking whether the losses so far are numbers. A full disk does not end the run."""
        self._look(self.progress.iteration - 1)
        with self._stopwatch.paused():
            try:
                path = self.parts.save(self.progress)
            except TrtdreamError as error:
                kept = self.last_snapshot or "none"
                self.parts.log.line(f"{error}; training goes on, the last good snapshot is {kept}", "E")
                return
        if path is not None:
            self.last_snapshot = path
            self.parts.log.line(f"Snapshotting to {path}")

    def _obey(self) -> None:
        if self.parts.world.size > 1 and self.progress.iteration % _AGREE_EVERY:
            return
        wish = self.parts.world.greatest(int(self.interrupts.take()), self.parts.step.device)
        if wish == Wish.NOTHING:
            return
        self._snapshot()
        if wish == Wish.STOP:
            self.parts.log.line("Optimization stopped early.")
            raise Stopped(f"stopped after {self.progress.iteration} iterations; --resume latest goes on")

    def _finish(self) -> None:
        """What Caffe does after the last iteration: snapshot, the loss of one more batch, test."""
        run, iteration = self.parts.recipe.run, self.progress.iteration
        if run.snapshot_after_train and not (run.snapshot and iteration % run.snapshot == 0):
            self._snapshot()
        if self.solver.display and iteration % self.solver.display == 0:
            loss = self.parts.step.loss(self.parts.feeding.next(self.parts.step.net.graph))
            self.parts.world.average([loss])
            self.parts.log.line(iteration_line(iteration, loss.item(), 0, 0))
        if self.solver.test_interval and iteration % self.solver.test_interval == 0:
            self._test()
        else:
            self._draw()
        self.parts.log.line("Optimization Done.")


def hours(seconds: float) -> str:
    """As people say it: 3.2 h, 12 min, 40 s."""
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


class _Stopwatch:
    """Times iterations, without the tests and snapshots between them."""

    def __init__(self, feeding: Feeding) -> None:
        self._loader = feeding.loader
        self._reset()

    def count(self, images: int) -> None:
        self._iterations += 1
        self._images += images

    def lap(self) -> Pace:
        """The pace since the last lap."""
        seconds = time.perf_counter() - self._started - self._elsewhere
        waited = self._loader.waited - self._waited
        pace = Pace(self._iterations, seconds, self._images / seconds, min(waited / seconds, 1.0))
        self._reset()
        return pace

    def paused(self) -> _Pause:
        return _Pause(self)

    def leave_out(self, seconds: float) -> None:
        self._elsewhere += seconds

    def _reset(self) -> None:
        self._started, self._elsewhere = time.perf_counter(), 0.0
        self._iterations = self._images = 0
        self._waited = self._loader.waited


class _Pause:
    def __init__(self, stopwatch: _Stopwatch) -> None:
        self._stopwatch = stopwatch

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._stopwatch.leave_out(time.perf_counter() - self._since)
