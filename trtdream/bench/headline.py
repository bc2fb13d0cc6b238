"""The table of `trtdream bench` alone: what this machine does in under two minutes, beside what was once published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from trtdream.bench.clock import Clock, clock_for
from trtdream.bench.dreaming import noise, time_dream
from trtdream.bench.history import comparable, figures
from trtdream.bench.layers import time_whole
from trtdream.bench.results import Row
from trtdream.bench.subject import Setting, Subject, halving, net_for
from trtdream.bench.timing import Repeats, repeat
from trtdream.dream.computing import Computing
from trtdream.net.kind import Phase
from trtdream.recipe.dream_schema import Settings
from trtdream.runtime.open_model import bundled

BATCHES = {"caffenet": 256, "googlenet": 128}  # those of the published figures
DREAM_SIZE = (360, 540)
_REPEATS = Repeats(runs=15, warm_up=2, seconds=6)
_LONGEST_RUN_MS = 1000.0
_NOT_YET = (
    Row("caffenet", "step", None, "bench times no optimiser yet: forward and backward are above"),
    Row("googlenet", "inference, ONNX Runtime", None, "bench runs torch only as yet"),
    Row("googlenet", "inference, TensorRT", None, "bench runs torch only as yet"),
)


@dataclass(frozen=True)
class Beside:
    """A published figure for a row; ratio (ours over theirs) is None where the work is not the same."""

    text: str
    source: str
    ratio: float | None


def headline(setting: Setting, on_part: Callable[[str], None] = lambda _: None) -> Iterator[Row]:
    """Measure and yield row after row.

    Args:
        on_part: told what is measured next.
    """
    for name in BATCHES:
        on_part(f"{name}, forward and backward")
        yield from _training_rows(name, replace(setting, phase=Phase.TRAIN))
    on_part("googlenet, inference")
    yield _inference_row("googlenet", replace(setting, phase=Phase.TEST))
    on_part("a dream step")
    yield _dream_row(setting.device)
    yield from _NOT_YET


def beside(row: Row) -> list[Beside]:
    """The published figures for a measured row of the headline."""
    if row.timing is None or "ms_per_image" not in row.extra:
        return []
    found = []
    for figure in figures(row.name, row.part):
        batch = "" if figure.batch is None else f", batch {figure.batch}"
        ratio = row.extra["ms_per_image"] / figure.ms_per_image if comparable(figure, row.extra["images"]) else None
        found.append(Beside(f"{figure.ms_per_image:.3g} ({figure.where}{batch})", figure.source, ratio))
    return found


def _training_rows(name: str, setting: Setting) -> list[Row]:
    def run(batch: int) -> list[Row]:
        subject = Subject(net_for(name, setting.phase), replace(setting, batch=batch))
        forward, backward = time_whole(subject, _REPEATS)
        timings = {"forward": forward} if backward is None else {"forward": forward, "backward": backward}
        return [
            Row(name, part, timing, extra={"images": batch, "ms_per_image": round(timing.median_ms / batch, 4)})
            for part, timing in timings.items()
        ]

    return halving(_suitable_batch(name, setting), run)


def _inference_row(name: str, setting: Setting) -> Row:
    clock = clock_for(setting.device)

    def run(batch: int) -> Row:
        subject = Subject(net_for(name, setting.phase), replace(setting, batch=batch))
        with torch.inference_mode():
            timing = repeat(lambda: {"": _forward_ms(subject, clock)}, _REPEATS)[""]
        extra = {"images": batch, "ms_per_image": round(timing.median_ms / batch, 4)}
        return Row(name, "inference, torch", timing, extra=extra)

    return halving(_suitable_batch(name, setting), run)


def _dream_row(device: str) -> Row:
    """One step on one octave of the size that DeepDreamVideo published; the bundled GoogLeNet, layer 68."""
    settings = Settings(octaves=1, iterations=4)
    steps = time_dream(bundled(), noise(DREAM_SIZE), settings, Computing(device), _REPEATS).steps
    return Row("dream", "step", steps[0][1], extra={"size": f"{DREAM_SIZE[1]} x {DREAM_SIZE[0]}"})


def _suitable_batch(name: str, setting: Setting) -> int:
    """The published batch on a GPU; on the CPU a power of two of which a run takes about a second at most."""
    if setting.batch is not None or not setting.device.startswith("cpu"):
        return setting.batch or BATCHES[name]
    subject = Subject(net_for(name, setting.phase), replace(setting, batch=1))
    forward, backward = time_whole(subject, Repeats(runs=1, warm_up=1, seconds=0))
    one = forward.least_ms + (backward.least_ms if backward else 0.0)
    batch = 1
    while batch < BATCHES[name] and 2 * batch * one <= _LONGEST_RUN_MS:
        batch *= 2
    return batch


def _forward_ms(subject: Subject, clock: Clock) -> float:
    clock.wait()
    start = clock.mark()
    subject.forward()
    end = clock.mark()
    clock.wait()
    return clock.between(start, end)
