"""The table of `trtdream bench` alone: what this machine does in under two minutes, beside what was once published."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from trtdream.bench.backends import inference_rows
from trtdream.bench.dreaming import noise, rows_of_dream, time_dream
from trtdream.bench.feeding import CACHED, draw_files, time_feed
from trtdream.bench.feeding_limit import least_of
from trtdream.bench.history import comparable, figures
from trtdream.bench.layers import time_whole
from trtdream.bench.limits import Limits, bound_of_all, limits_of
from trtdream.bench.nettime import PARTS, launch_bound
from trtdream.bench.results import UNMEASURED, Row, per_image, reason
from trtdream.bench.subject import Setting, Subject, halving, net_for
from trtdream.bench.timing import Repeats
from trtdream.bench.training import share_of_limit, time_recipe
from trtdream.bench.work import BOTH, training_works
from trtdream.data.feed import Feed
from trtdream.data.pack import Packing, pack
from trtdream.data.sources import open_source
from trtdream.data.transform import Transform
from trtdream.dream.computing import Computing
from trtdream.net.kind import Phase
from trtdream.recipe.dream_schema import Settings
from trtdream.recipe.load import load_recipe
from trtdream.recipe.shipped import find_recipe
from trtdream.runtime.open_model import bundled

BATCHES = {"caffenet": 256, "googlenet": 128}  # those of the published figures
DREAM_SIZE = (360, 540)
PICTURES = 128  # drawn to feed from
_REPEATS = Repeats(runs=15, warm_up=2, seconds=4)
_LONGEST_RUN_MS = 1000.0
_MEAN = (104.0, 117.0, 123.0)


@dataclass(frozen=True)
class Beside:
    """A published figure for a row; ratio (ours over theirs) is None where the work is not the same."""

    where: str
    source: str
    ms_per_image: float
    ratio: float | None


def headline(setting: Setting, limits: Limits, on_part: Callable[[str], None] = lambda _: None) -> Iterator[Row]:
    """Measure and yield row after row.

    Args:
        on_part: told what is measured next.
    """
    batches = {name: suitable_batch(name, setting) for name in BATCHES}
    for name, batch in batches.items():
        on_part(f"{name}, forward and backward")
        training = replace(setting, phase=Phase.TRAIN, batch=batch)
        yield from _guarded(name, "forward", partial(_training_rows, name, training, limits))
    with TemporaryDirectory() as folder:
        on_part("the data pipeline")
        yield from _guarded("data", "pictures", lambda: _data_rows(Path(folder), setting.device, limits))
        on_part("caffenet, whole training steps")
        packed = Path(folder) / "packed"
        yield from _guarded(
            "caffenet", "step", lambda: [_step_row(packed, setting.device, batches["caffenet"], limits)]
        )
    googlenet = net_for("googlenet", Phase.TEST)
    yield from inference_rows("googlenet", googlenet, batches["googlenet"], setting.device, _REPEATS, limits, on_part)
    on_part("a dream step")
    yield from _guarded("dream", "step", lambda: [_dream_row(setting.device, limits)])


def beside(name: str, part: str, row: Mapping[str, Any]) -> list[Beside]:
    """The published figures for a row of the headline, by its name, part and further numbers."""
    if "ms_per_image" not in row:
        return []
    found = []
    for figure in figures(name, published_part(part, row)):
        batch = "" if figure.batch is None else f", batch {figure.batch}"
        ratio = row["ms_per_image"] / figure.ms_per_image if comparable(figure, row["images"]) else None
        found.append(Beside(f"{figure.where}{batch}", figure.source, figure.ms_per_image, ratio))
    return found


def published_part(part: str, row: Mapping[str, Any]) -> str:
    """What `history` calls a measured row's part: whatever the backend, an inference is one."""
    return f"inference {row['precision']}" if part.startswith("inference") and "precision" in row else part


def suitable_batch(name: str, setting: Setting) -> int:
    """The published batch on a GPU; on the CPU a power of two of which a run takes about a second at most."""
    if setting.batch is not None or not setting.device.startswith("cpu"):
        return setting.batch or BATCHES[name]
    subject = Subject(net_for(name, Phase.TRAIN), replace(setting, phase=Phase.TRAIN, batch=1))
    one = time_whole(subject, Repeats(runs=1, warm_up=1, seconds=0))[BOTH].least_ms
    batch = 1
    while batch < BATCHES[name] and 2 * batch * one <= _LONGEST_RUN_MS:
        batch *= 2
    return batch


def _guarded(name: str, part: str, rows: Callable[[], list[Row]]) -> list[Row]:
    """The rows, or one that says why there are none: nothing that fails keeps the others from being shown."""
    try:
        return rows()
    except UNMEASURED as error:
        return [Row(name, part, None, reason(error))]


def _training_rows(name: str, setting: Setting, limits: Limits) -> list[Row]:
    def run(batch: int) -> list[Row]:
        subject = Subject(net_for(name, setting.phase), replace(setting, batch=batch))
        times = time_whole(subject, _REPEATS)
        works = training_works(subject.layers, subject.number_bytes, subject.force_backward)
        rows = []
        for part in (*PARTS, BOTH):
            issuing = times.get(f"issuing {part}")
            doubt = launch_bound(issuing.median_ms, times[part].median_ms) if issuing else ""
            found = bound_of_all(times[part].median_ms, works[part], setting.precision, limits)
            extra = {**per_image(times[part], batch), **found.as_document()}
            rows.append(Row(name, part, times[part], extra=extra, warnings=(doubt,) if doubt else ()))
        return rows

    return halving(setting.batch or BATCHES[name], run)


def _data_rows(folder: Path, device: str, limits: Limits) -> list[Row]:
    """From JPEGs and from a packed set of them; 256 x 256 pictures, CaffeNet's crop."""
    threads = len(os.sched_getaffinity(0))
    files = draw_files(folder, PICTURES)
    pack(files, folder / "packed", Packing(Transform(), threads))
    transform = Transform(crop=227, mirror=True, mean_value=_MEAN)

    def ceilings(where: str) -> Limits:
        return limits if where == device else limits_of(where)

    feed = Feed(min(64, PICTURES), threads=threads, device=device, check_files=False)
    rows = []
    for name, source in (("from JPEGs", files), ("from a packed set", open_source(folder / "packed"))):
        row = time_feed("data", name, source, transform, feed, _REPEATS, least_of(source, ceilings))
        rows.append(replace(row, extra={**row.extra, "size": f"256 x 256, {CACHED}, {threads} threads"}))
    return rows


def _step_row(packed: Path, device: str, batch: int, limits: Limits) -> Row:
    """Caffe's recipe: wait for data from the packed set, forward, backward, update, log."""
    overrides = [
        f"data.train.source={packed}",
        f"data.train.batch={batch}",
        "data.train.mean_file=null",
        f"data.train.mean_value={list(_MEAN)}",
        "data.test=[]",
        "solver.test_interval=0",
        f"run.device={device}",
    ]
    found = time_recipe(load_recipe(find_recipe("caffenet"), overrides), iterations=5)
    extra = {**per_image(found.whole, found.images), "form": found.form, **share_of_limit(found, "step", limits)}
    return Row("caffenet", "step", found.whole, extra=extra, warnings=found.doubts)


def _dream_row(device: str, limits: Limits) -> Row:
    """One step on one octave of the size that DeepDreamVideo published; the bundled GoogLeNet, layer 68."""
    model, settings, computing = bundled(), Settings(octaves=1, iterations=4), Computing(device)
    times = time_dream(model, noise(DREAM_SIZE), settings, computing, _REPEATS)
    step = rows_of_dream(times, DREAM_SIZE, model, settings, computing, limits)[0]
    extra = {**step.extra, "size": step.name, "gradients": computing.gradients() or "float32"}
    return replace(step, name="dream", extra=extra)
