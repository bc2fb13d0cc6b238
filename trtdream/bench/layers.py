"""Layer by layer forward and backward, as `caffe time` tells it, and the whole beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from torch import Tensor

from trtdream.bench.clock import Clock, clock_for
from trtdream.bench.limits import Limits, bound
from trtdream.bench.memory import peak_memory, restart_peak
from trtdream.bench.nettime import PARTS, LayerTime, NetTime, Pass
from trtdream.bench.subject import Subject
from trtdream.bench.timing import Repeats, Timing, repeat
from trtdream.bench.work import BOTH, backward_work, forward_work, wants_gradient
from trtdream.net.graph import Step

_WHOLE = ""
_LAYERS = "(layers)"
_ISSUING = "(issuing)"
Part = tuple[str, str]


def time_layers(subject: Subject, repeats: Repeats, limits: Limits) -> NetTime:
    """Measure a network: each run once as a whole and once with a mark at every layer, in turns.

    The marks are set within the running network: after each layer on the way forward; on the way back when autograd
    has a top's gradient ready and turns to the layer that wrote it.
    """
    clock = clock_for(subject.setting.device)
    restart_peak(subject.setting.device)
    times = repeat(lambda: {**_whole(subject, clock), **_by_layer(subject, clock)}, repeats)
    wanted = wants_gradient(subject.layers, subject.force_backward)
    rows = []
    for shapes in subject.layers:
        layer = shapes.step.layer
        if layer.kind.is_input:
            continue
        below = any(wanted[value] for value in shapes.step.reads)
        passes: dict[str, Pass] = {}
        for part, work in (
            ("forward", forward_work(shapes, subject.number_bytes)),
            ("backward", backward_work(shapes, subject.number_bytes, below)),
        ):
            if timing := times.get((layer.name, part)):
                binds = bound(timing.median_ms, work, subject.setting.precision, limits)
                passes[part] = Pass(timing, work, binds)
        rows.append(LayerTime(layer.name, layer.kind.type_name, shapes.macs, passes["forward"], passes.get("backward")))
    peak = peak_memory(subject.setting.device)
    added_up = {part: times[_LAYERS, part] for part in PARTS if (_LAYERS, part) in times}
    issuing = {part: times[_ISSUING, part] for part in PARTS if (_ISSUING, part) in times}
    whole = (times[_WHOLE, "forward"], times.get((_WHOLE, "backward")))
    return NetTime(tuple(rows), *whole, added_up, subject.batch, peak, issuing)


def time_whole(subject: Subject, repeats: Repeats) -> dict[str, Timing]:
    """Forward, backward and both as a whole only; forward alone if nothing learns.

    A GPU's issuing times (see `NetTime`) stand under "issuing forward" and "issuing backward".
    """
    clock = clock_for(subject.setting.device)

    def run() -> dict[str, float]:
        times = _whole(subject, clock)
        found = {part: times[_WHOLE, part] for part in PARTS if (_WHOLE, part) in times}
        both = {BOTH: sum(found.values())} if len(found) == len(PARTS) else {}
        return found | both | {f"issuing {part}": value for (what, part), value in times.items() if what == _ISSUING}

    return repeat(run, repeats)


def _whole(subject: Subject, clock: Clock) -> dict[Part, float]:
    clock.wait()
    marks = [clock.mark()]
    values = subject.forward()
    marks.append(clock.mark())
    if subject.with_gradient:
        subject.backward(values)
        marks.append(clock.mark())
    clock.wait()
    found: dict[Part, float] = {}
    for part, pair in zip(PARTS, pairwise(marks), strict=False):
        found[_WHOLE, part] = clock.between(*pair)
        if (issuing := clock.issuing(*pair)) is not None:
            found[_ISSUING, part] = issuing
    return found


def _by_layer(subject: Subject, clock: Clock) -> dict[Part, float]:
    clock.wait()
    marks = _Marks(clock)
    values = subject.forward(marks.layer_done)
    if subject.with_gradient:
        marks.turn_back()
        subject.backward(values)
        marks.end()
    clock.wait()
    return marks.times()


class _Marks:
    """Marks at the layers of one run. Each is two points of time, so that marking itself counts for no layer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._done: list[tuple[Part, Any, Any]] = []
        self._start = clock.mark()
        self._part: Part | None = None
        self._nodes: set[Any] = set()
        self._spans: list[tuple[Part, Any, Any]] = []

    def layer_done(self, step: Step, tops: Sequence[Tensor]) -> None:
        """A layer has run forward; its tops' gradients will tell when its backward begins."""
        self._spans.append(((step.layer.name, "forward"), self._start, self._clock.mark()))
        for top in tops:
            node = top.grad_fn
            if node is not None and node not in self._nodes:  # a layer that returns its bottom has no backward
                self._nodes.add(node)
                top.register_hook(partial(self._reached, step.layer.name))
        self._start = self._clock.mark()

    def turn_back(self) -> None:
        """Forward is done: what follows, until the first top's gradient is there, belongs to no layer."""
        self._nodes.clear()

    def _reached(self, layer: str, _gradient: Tensor) -> None:
        self.end()
        self._part = (layer, "backward")
        self._start = self._clock.mark()

    def end(self) -> None:
        """The layer whose backward was running is done."""
        if self._part is not None:
            self._spans.append((self._part, self._start, self._clock.mark()))

    def times(self) -> dict[Part, float]:
        """Milliseconds of each layer and part, and of all layers; a layer of several tops is entered several times."""
        found: dict[Part, float] = {}
        for part, start, end in self._spans:
            for counted in (part, (_LAYERS, part[1])):
                found[counted] = found.get(counted, 0.0) + self._clock.between(start, end)
        return found
