"""An exported file as a server would run it: cold start, latency, throughput with several threads, copies."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trtdream.bench.clock import clock_for
from trtdream.bench.exported import inputs_for, open_runner
from trtdream.bench.limits import Limits, LimitsOf
from trtdream.bench.nettime import launch_bound
from trtdream.bench.onnx_work import FileWork
from trtdream.bench.results import Row, per_image
from trtdream.bench.timing import Repeats, Timing, repeat, timing_of
from trtdream.console import say
from trtdream.errors import TrtdreamError

if TYPE_CHECKING:
    from trtdream.runtime.runner import Array, Runner

COPIES, NO_COPIES = "with copies", "without copies"
_COLD_STARTS = 3
_WARM_UP_RUNS = 3


@dataclass(frozen=True)
class Load:
    """How an engine is measured: batch (None for its usual one), how many threads, for how long each."""

    batch: int | None = None
    threads: Sequence[int] = (1, 2, 4)
    seconds: float = 3.0
    repeats: Repeats = field(default_factory=lambda: Repeats(runs=100, warm_up=10, seconds=10))


def time_serving(
    file: Path, device: str, load: Load, limits_of: LimitsOf, on_part: Callable[[str], None] = lambda _: None
) -> Iterator[Row]:
    """Rows of cold start, latency and, for each number of threads, throughput.

    Args:
        file: a .engine or .onnx with its manifest beside it (an .onnx may have none).
        limits_of: a device's ceilings; rates are held against them where the file's .onnx lies beside it.
        on_part: told what is measured next.

    Raises:
        UsageError: no such file, or a batch that it was not built for.
        InputRefused: it is damaged, not trusted, or for another machine.
        TrtdreamError: no GPU for an engine.
    """
    with ExitStack() as stack:
        runner = stack.enter_context(open_runner(file, device))  # refused here, before anything is measured
        device = "cuda" if file.suffix == ".engine" else device
        arrays = inputs_for(file, load.batch)
        images = next(iter(arrays.values())).shape[0]
        on_part("cold start, in processes of their own")
        yield from _cold_start(file, device, images)
        on_part("latency")
        copied = _latency(runner, arrays, "cpu", load.repeats)
        resident = _latency(runner, _on_device(arrays), "cuda", load.repeats) if device != "cpu" else None
        held = _Held(file, images, limits_of(device))
        yield from map(held.row, _latency_rows(copied, resident, images))
        for data, part in ((arrays, COPIES), *(((_on_device(arrays), NO_COPIES),) if device != "cpu" else ())):
            for threads in load.threads:
                on_part(f"{threads} thread(s), {part}")
                yield held.row(_throughput(file, runner, data, threads, part, images, load.seconds))


class _Held:
    """Holds rows against the machine's ceilings, where it can be known what the file has to do."""

    def __init__(self, file: Path, images: int, limits: Limits) -> None:
        self._limits = limits
        try:
            self._work: FileWork | None = FileWork(file, images)
        except TrtdreamError as error:
            say(f"no shares of the machine's limits: {error}")
            self._work = None

    def row(self, row: Row) -> Row:
        rate = row.extra.get("images_per_s")
        bound = self._work.bound(1e3 * row.extra["images"] / rate, self._limits) if self._work and rate else None
        return replace(row, extra={**row.extra, **bound.as_document()}) if bound else row


def _latency(runner: Runner, data: Mapping[str, Array], device: str, repeats: Repeats) -> dict[str, Timing]:
    """One run after another: the wall clock where numpy goes in and out, the GPU's own where tensors stay there."""
    clock = clock_for(device)

    def run() -> dict[str, float]:
        clock.wait()
        start = clock.mark()
        runner(data)
        end = clock.mark()
        clock.wait()
        issuing = clock.issuing(start, end)
        return {"": clock.between(start, end)} | ({} if issuing is None else {"issuing": issuing})

    return repeat(run, repeats)


def _latency_rows(copied: Mapping[str, Timing], resident: Mapping[str, Timing] | None, images: int) -> Iterator[Row]:
    warnings: list[str] = []
    if resident is not None and copied[""].median_ms > 2 * resident[""].median_ms:
        warnings.append("copy-bound: copies take longer than the network")
    yield Row("latency", COPIES, copied[""], extra=per_image(copied[""], images), warnings=tuple(warnings))
    if resident is None:
        yield Row("latency", NO_COPIES, None, "nothing is copied on a CPU")
        return
    doubt = launch_bound(resident["issuing"].median_ms, resident[""].median_ms)
    extra = per_image(resident[""], images)
    yield Row("latency", NO_COPIES, resident[""], extra=extra, warnings=(doubt,) if doubt else ())


def _throughput(
    file: Path, runner: Runner, data: Mapping[str, Array], threads: int, part: str, images: int, seconds: float
) -> Row:
    """Threads that run as fast as they can, each with a context of its own where the backend needs that."""
    name = f"{threads} thread{'s' * (threads > 1)}"
    try:
        runners = [runner, *(_another(runner) for _ in range(threads - 1))]
        latencies, elapsed = _race(runners, data, seconds)
    except TrtdreamError as error:
        return Row(name, part, None, f"{file.name}: {error}")
    timing = timing_of(latencies, _WARM_UP_RUNS)
    rate = images * len(latencies) / elapsed
    return Row(name, part, timing, extra={"images": images, "images_per_s": round(rate, 2), "threads": threads})


def _race(runners: Sequence[Runner], data: Mapping[str, Array], seconds: float) -> tuple[list[float], float]:
    """All runs' milliseconds, and the seconds from the first start to the last end, warming up left out."""
    for runner in runners:  # one after another: a CUDA graph that is being captured suffers no other thread's calls
        finish = _synchronise_of(data)
        for _ in range(_WARM_UP_RUNS):
            runner(data)
            finish()
    ready = threading.Barrier(len(runners))

    def run(runner: Runner) -> tuple[list[float], float, float]:
        finish = _synchronise_of(data)
        ready.wait()
        began = last = time.perf_counter()
        found: list[float] = []
        while not found or last - began < seconds:
            runner(data)
            finish()
            now = time.perf_counter()
            found.append((now - last) * 1e3)
            last = now
        return found, began, last

    with ThreadPoolExecutor(len(runners)) as pool:
        done = [future.result() for future in [pool.submit(run, runner) for runner in runners]]
    elapsed = max(end for *_, end in done) - min(began for _, began, _ in done)
    return [one for latencies, *_ in done for one in latencies], elapsed


def _another(runner: Runner) -> Runner:
    """ONNX Runtime's sessions take several threads at once; a TensorRT context takes one."""
    another = getattr(runner, "another", None)
    return runner if another is None else another()


def _synchronise_of(data: Mapping[str, Array]) -> Callable[[], object]:
    """Waits for the calling thread's own stream only; int, which does nothing, where numpy came back already."""
    if all(isinstance(array, np.ndarray) for array in data.values()):
        return int
    import torch

    if threading.current_thread() is not threading.main_thread():
        torch.cuda.set_stream(torch.cuda.Stream())
    return torch.cuda.current_stream().synchronize


def _cold_start(file: Path, device: str, images: int) -> Iterator[Row]:
    found: list[dict[str, float]] = []
    command = [sys.executable, "-m", "trtdream.bench.cold", str(file), device, str(images)]
    for _ in range(_COLD_STARTS):
        ran = subprocess.run([*command, str(time.time())], capture_output=True, text=True, check=False)
        if ran.returncode:
            last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
            yield Row("cold start", "first answer", None, f"its process failed: {last[:200]}")
            return
        found.append(json.loads(ran.stdout.splitlines()[-1]))
    for part in found[0]:
        yield Row("cold start", part, timing_of([one[part] for one in found]))


def _on_device(arrays: Mapping[str, np.ndarray]) -> dict[str, Array]:
    import torch

    return {name: torch.from_numpy(array).cuda() for name, array in arrays.items()}
