"""How long a dream takes: each step of each octave, and the whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trtdream.bench.timing import Repeats, Timing, repeat
from trtdream.dream.dream import Settings, dream, usable_octaves
from trtdream.dream.octaves import Size
from trtdream.runtime.model import Model


@dataclass(frozen=True)
class DreamTime:
    """steps has the time of one step at each octave's size; whole that of one picture, all octaves."""

    steps: tuple[tuple[Size, Timing], ...]
    whole: Timing


def time_dream(model: Model, size: Size, settings: Settings, device: str, repeats: Repeats) -> DreamTime:
    """Dream into noise of that size (height, width), several times.

    The first step of an octave is left out of its time: it waits for the zoom to the octave, which the whole includes.

    Raises:
        InputRefused: the size is too small for the layer.
    """
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    sizes = usable_octaves(model, picture, settings)

    def run() -> dict[Size | None, float]:
        ends: list[float] = []
        start = time.perf_counter()
        dream(model, picture, settings, device, on_step=lambda: ends.append(time.perf_counter()))
        whole = (time.perf_counter() - start) * 1e3
        return {None: whole, **_steps(sizes, ends, settings.iterations)}

    times = repeat(run, repeats)
    return DreamTime(tuple((size, times[size]) for size in sizes if size in times), times[None])


def _steps(sizes: Sequence[Size], ends: Sequence[float], iterations: int) -> dict[Size | None, float]:
    """Milliseconds a step, the first of each octave left out. `ascend` has read its objective back, so it is done."""
    if iterations < 2:
        return {}
    return {
        size: (ends[(index + 1) * iterations - 1] - ends[index * iterations]) * 1e3 / (iterations - 1)
        for index, size in enumerate(sizes)
    }
