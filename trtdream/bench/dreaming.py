"""How long a dream takes: each step of each octave, and the whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trtdream.bench.clock import Clock, clock_for
from trtdream.bench.limits import Bound, Limits, bound_of_all
from trtdream.bench.results import Row
from trtdream.bench.timing import Repeats, Timing, repeat
from trtdream.bench.work import Work, dreaming_works
from trtdream.dream.computing import Computing
from trtdream.dream.dreamer import Dreamer
from trtdream.dream.octaves import Size
from trtdream.dream.watch import Watch
from trtdream.dream.wishes import values_of
from trtdream.net.shapes import infer_shapes
from trtdream.recipe.dream_schema import Settings
from trtdream.runtime.model import Model


@dataclass(frozen=True)
class DreamTime:
    """steps has the time of one step at each octave's size; whole that of one picture, all octaves."""

    steps: tuple[tuple[Size, Timing], ...]
    whole: Timing


def noise(size: Size) -> np.ndarray:
    """A picture of noise, height x width x 3 uint8."""
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def time_dream(
    model: Model, picture: np.ndarray, settings: Settings, computing: Computing, repeats: Repeats
) -> DreamTime:
    """Dream into a picture (H x W x 3 uint8) several times, from the picture in memory to the dream in memory.

    What is prepared once for any number of pictures (module, recorded steps) is not counted. The first step of an
    octave is left out of its time: it waits for the zoom to the octave, which the whole includes.

    Raises:
        InputRefused: the picture is too small for the layer.
    """
    dreamer = Dreamer(model, settings, computing)
    sizes = dreamer.sizes((picture.shape[0], picture.shape[1]))
    clock = clock_for(computing.device)

    def run() -> dict[Size | None, float]:
        ends: list[Any] = []
        start = time.perf_counter()
        dreamer.dream(picture, Watch(on_step=lambda _: ends.append(clock.mark())))
        whole = (time.perf_counter() - start) * 1e3
        clock.wait()
        return {None: whole, **_steps(sizes, ends, settings.iterations, clock)}

    times = repeat(run, repeats)
    return DreamTime(tuple((size, times[size]) for size in sizes if size in times), times[None])


def rows_of_dream(
    times: DreamTime, size: Size, model: Model, settings: Settings, computing: Computing, limits: Limits
) -> list[Row]:
    """A step of each octave, then the whole picture, which is of that size."""
    rows: list[Row] = []
    forward: list[Work] = []
    back: list[Work] = []
    for octave, timing in times.steps:
        works = step_works(model, settings, octave)
        forward += settings.iterations * works[0]
        back += settings.iterations * works[1]
        bound = bound_of_step(timing.median_ms, works, computing, limits)
        rows.append(Row(_named(octave), "step", timing, extra=bound.as_document()))
    whole = times.whole.median_ms
    extra = bound_of_step(whole, (forward, back), computing, limits).as_document() if forward else {}
    return [*rows, Row(_named(size), "dream", times.whole, extra=extra)]


def bound_of_step(
    milliseconds: float, works: tuple[Sequence[Work], Sequence[Work]], computing: Computing, limits: Limits
) -> Bound:
    """The limit that binds a step, or several: forward in float32, back in the type of the gradients."""
    there = bound_of_all(milliseconds, works[0], "float32", limits)
    back = bound_of_all(milliseconds, works[1], computing.gradients() or "float32", limits)
    return replace(max(there, back, key=lambda part: part.share), share=there.share + back.share)


def step_works(model: Model, settings: Settings, size: Size) -> tuple[list[Work], list[Work]]:
    """What a step on a picture of that size has to do, forward and back, layer by layer up to those dreamt of."""
    shape = (1, len(model.pictures.mean), *size)
    layers = infer_shapes(model.graph, {model.graph.inputs[0]: shape}, values_of(model, settings))
    return dreaming_works(layers, number_bytes=4)


def _named(size: Size) -> str:
    return f"{size[1]} x {size[0]}"


def _steps(sizes: Sequence[Size], ends: Sequence[Any], iterations: int, clock: Clock) -> dict[Size | None, float]:
    """Milliseconds a step, the first of each octave left out."""
    if iterations < 2:
        return {}
    return {
        size: clock.between(ends[index * iterations], ends[(index + 1) * iterations - 1]) / (iterations - 1)
        for index, size in enumerate(sizes)
    }
