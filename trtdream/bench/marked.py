"""A training step and its feeding with marks between the parts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from trtdream.bench.clock import Clock
from trtdream.bench.timing import Timing, timing_of
from trtdream.bench.work import BOTH, Work, training_works
from trtdream.net.graph import Graph
from trtdream.net.kind import Shape
from trtdream.net.shapes import infer_shapes
from trtdream.train.feeding import Feeding
from trtdream.train.rules import Rate
from trtdream.train.step import Inputs, Outcome, Step

PARTS = ("wait for data", "forward", "backward", "update", "logging")
WINDOWS = 5  # from display to display; one before them warms up


class WatchedFeeding(Feeding):
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


class MarkedStep(Step):
    """The plain step of a training, its parts marked."""

    def __init__(self, step: Step, clock: Clock) -> None:
        super().__init__(step.net, step.update, step.world)
        self._clock = clock
        self._forwards: list[list[Any]] = []
        self._iterations: list[dict[str, float]] = []
        self._last = time.perf_counter()
        self._inside = 0.0
        self._shapes: dict[str, Shape] = {}
        self._batches = 0
        self.net.register_forward_pre_hook(lambda *_: self._forwards.append([clock.mark()]))
        self.net.register_forward_hook(lambda *_: self._forwards[-1].append(clock.mark()))

    def run(self, batches: Sequence[Inputs], rate: Rate) -> Outcome:
        clock, began = self._clock, time.perf_counter()
        self._shapes, self._batches = {name: tuple(x.shape) for name, x in batches[0].blobs.items()}, len(batches)
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
        last = done[-WINDOWS * display :]
        found = {}
        for part in PARTS:
            share = display * display if part == "logging" else display
            each = [one[part] for one in last]
            means = [sum(each[start : start + display]) / share for start in range(0, len(each), display)]
            found[part] = timing_of(means, len(done) - len(last))
        return found

    def works(self, number_bytes: int) -> dict[str, list[Work]]:
        """Of an iteration, all its batches; the update is one."""
        of_one = training_works(infer_shapes(self.net.graph, self._shapes), number_bytes, force_backward=False)
        both, update = self._batches * of_one[BOTH], of_one["update"]
        return {
            "forward": self._batches * of_one["forward"],
            "backward": self._batches * of_one["backward"],
            "update": update,
            "step": both + update,
        }
