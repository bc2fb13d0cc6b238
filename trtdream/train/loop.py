"""The loop: Caffe's Solver::Step, with what happens around an iteration in Caffe's order.

Test, train, display, update, count, snapshot. Between two displays nothing waits for the device: losses stay there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor

from trtdream.errors import TrtdreamError
from trtdream.recipe.schema import Recipe
from trtdream.train.evaluate import Tester, flat
from trtdream.train.feeding import Feeding
from trtdream.train.interrupts import Interrupts, Wish
from trtdream.train.log import iteration_line
from trtdream.train.pace import Pace, Stopwatch
from trtdream.train.policies import learning_rate
from trtdream.train.progress import Progress
from trtdream.train.report import Report
from trtdream.train.step import Step
from trtdream.train.world import World

_LOOK_EVERY = 100  # iterations after which losses are looked at where nothing is displayed
_AGREE_EVERY = 10  # iterations after which ranks tell each other of signals
_MEASURED = range(5, 25)  # iterations from the start that are timed, to say how long the rest takes


@dataclass
class Parts:
    """What a training is put together from. `save` gives the snapshot's path on the first process."""

    recipe: Recipe
    world: World
    step: Step
    feeding: Feeding
    tests: list[Tester]
    report: Report
    save: Callable[[Progress], Path | None]


class Stopped(TrtdreamError):
    """A signal stopped the run; its work was kept. Exit code 130."""

    exit_code = 130


class _TestAbandoned(Exception):
    """Somebody wants to stop, and a test takes too long to wait for."""


class Training:
    """A run from where `progress` is to `max_iter`."""

    def __init__(
        self, parts: Parts, progress: Progress, interrupts: Interrupts, last_snapshot: Path | None = None
    ) -> None:
        self.parts, self.progress, self.interrupts = parts, progress, interrupts
        self.solver = parts.recipe.solver
        self.last_snapshot = last_snapshot
        self._report = parts.report
        self._pending: list[Tensor] = []
        self._looked_at = progress.iteration  # the losses of the iterations before it are known to be numbers
        self._stopwatch = Stopwatch(parts.feeding.loader)
        self._lap = self._begun = self._stopwatch.read()
        self._test_seconds = 0.0

    def run(self) -> None:
        """Train.

        Raises:
            TrtdreamError: the loss is not finite (the iteration and the last good snapshot are named), or a signal
                stopped the run and no snapshot could be written.
            Stopped: a signal asked for it; a snapshot was written.
        """
        start, log = self.progress.iteration, self._report.log
        log.line(f"Solving {self.parts.step.net.graph.net.name}")
        log.line(f"Learning Rate Policy: {self.solver.lr_policy}")
        while self.progress.iteration < self.solver.max_iter:
            self._test_if_due()
            self._iterate()
            self._measure(self.progress.iteration - start)
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
            self._look()

    def _look(self) -> None:
        """Bring the losses so far to the host; the one place where training waits for the device."""
        if not self._pending:
            return
        losses = torch.stack(self._pending)
        self.parts.world.average([losses])
        self._pending.clear()
        found: list[float] = losses.tolist()
        for loss in found:
            if not isfinite(loss):
                self._give_up(self._looked_at, loss)
            self._looked_at += 1
        self.progress.unwritten_losses.extend(found)
        window = self.progress.loss_window
        window.extend(found)
        while len(window) > self.solver.average_loss:
            window.popleft()

    def _give_up(self, iteration: int, loss: float) -> None:
        kept = f"the last good snapshot is {self.last_snapshot}" if self.last_snapshot else "there is no snapshot"
        message = f"iteration {iteration}: the loss is {loss}; {kept}; lower solver.base_lr, or set clip_gradients"
        self._report.log.line(message, "E")
        raise TrtdreamError(message)

    def _display(self, outputs: dict[str, Tensor], rate: float) -> None:
        self._look()
        self.parts.world.average(shared := [value.float() for value in outputs.values()])
        values = {name: value.reshape(-1).tolist() for name, value in zip(outputs, shared, strict=True)}
        pace = self._end_lap()
        self._report.displayed(self.progress, self._smoothed(), rate, values, pace, self._left())
        if pace.iterations > 1:
            self._report.warn_if_input_bound(pace, self.parts.feeding)

    def _smoothed(self) -> float:
        window = self.progress.loss_window
        return sum(window) / len(window)

    def _end_lap(self) -> Pace:
        """The pace since the last display."""
        now = self._stopwatch.read()
        pace = now.since(self._lap)
        self._lap = now
        self.progress.seconds += pace.seconds
        return pace

    def _measure(self, done: int) -> None:
        """Time some early iterations; the first ones, in which everything warms up, are left out of all paces."""
        if done == 0 and self._stopwatch.read().iterations > self._lap.iterations:
            self._end_lap()
        if done in (_MEASURED.start, _MEASURED.stop):
            self._look()
            now = self._stopwatch.read()
            if done == _MEASURED.start:
                self._begun = now
            else:
                self._expect(now.since(self._begun))

    def _expect(self, pace: Pace) -> None:
        left, remaining = self._left(), self.solver.max_iter - self.progress.iteration - 1
        if left is not None and remaining > 0:
            self._report.expect(pace, remaining, left, self._tests_left() if self._test_seconds else 0)

    def _left(self) -> float | None:
        """Seconds still to come, the tests among them as soon as one was timed; None before anything was measured."""
        pace = self._stopwatch.read().since(self._begun)
        if self._begun.iterations == 0 or not pace.iterations:
            return None
        remaining = self.solver.max_iter - self.progress.iteration - 1
        return remaining * pace.seconds / pace.iterations + self._tests_left() * self._test_seconds

    def _tests_left(self) -> int:
        interval = self.solver.test_interval
        return self.solver.max_iter // interval - self.progress.iteration // interval if interval else 0

    def _test_if_due(self) -> None:
        interval, iteration = self.solver.test_interval, self.progress.iteration
        if interval and iteration % interval == 0 and (iteration > 0 or self.solver.test_initialization):
            self._test()

    def _test(self) -> None:
        """Run all tests. A wish to stop abandons them; when the run is resumed, they are run from their beginning."""
        before = [tester.feeding.loader.state_dict() for tester in self.parts.tests]
        started = time.perf_counter()
        with self._stopwatch.paused():
            try:
                for index, tester in enumerate(self.parts.tests):
                    self._report.testing(self.progress.iteration, index)
                    values = tester.run(self._abandon_if_stopped)
                    self._report.tested(self.progress.iteration, index, values)
                    if index == 0:
                        self.progress.last_test = flat(values)
            except _TestAbandoned:
                for tester, state in zip(self.parts.tests, before, strict=True):
                    tester.feeding.loader.load_state_dict(state)
                self._obey()
            self._test_seconds = time.perf_counter() - started
            self._report.draw()

    def _abandon_if_stopped(self, *_: object) -> None:
        if self.parts.world.size == 1 and self.interrupts.wish is Wish.STOP:
            raise _TestAbandoned

    def _snapshot(self) -> bool:
        """Write one, after looking whether the losses so far are numbers. A full disk does not end the run."""
        self._look()
        with self._stopwatch.paused():
            try:
                path = self.parts.save(self.progress)
            except TrtdreamError as error:
                kept = self.last_snapshot or "none"
                self._report.log.line(f"{error}; training goes on, the last good snapshot is {kept}", "E")
                return False
        if path is not None:
            self.last_snapshot = path
            self._report.log.line(f"Snapshotting to {path}")
        return True

    def _obey(self) -> None:
        if self.parts.world.size > 1 and self.progress.iteration % _AGREE_EVERY:
            return
        wish = self.parts.world.greatest(int(self.interrupts.take()))
        if wish == Wish.NOTHING:
            return
        kept = self._snapshot()
        if wish == Wish.STOP:
            self._report.log.line("Optimization stopped early.")
            done = f"stopped after {self.progress.iteration} iterations"
            if not kept:
                last = self.last_snapshot or "none"
                raise TrtdreamError(f"{done}; no snapshot was written, the last good one is {last}")
            raise Stopped(f"{done}; --resume latest goes on")

    def _finish(self) -> None:
        """What Caffe does after the last iteration: snapshot, the loss of one more batch, test."""
        run, iteration = self.parts.recipe.run, self.progress.iteration
        self._look()
        if run.snapshot_after_train and not (run.snapshot and iteration % run.snapshot == 0):
            self._snapshot()
        if self.solver.display and iteration % self.solver.display == 0:
            self._report.log.number(iteration_line(iteration, self._loss_of_one_more(), 0, 0))
        if self.solver.test_interval and iteration % self.solver.test_interval == 0:
            self._test()
        else:
            self._report.draw()
        self._report.log.line("Optimization Done.")

    def _loss_of_one_more(self) -> float:
        """Smoothed as those before it (solver.cpp, Solve)."""
        loss = self.parts.step.loss(self.parts.feeding.next(self.parts.step.net.graph))
        self.parts.world.average([loss])
        latest = [*self.progress.loss_window, loss.item()][-self.solver.average_loss :]
        return sum(latest) / len(latest)
