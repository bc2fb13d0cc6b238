"""How long a dream takes where several pictures are dreamt into at once: milliseconds a picture.

    python benchmarks/dream_batch.py [-o FILE.json] [--size 320x240] [--batches 1 2 4] [--runs 5]

GoogLeNet, inception_4c/output, 4 octaves, 10 steps each; from pictures in memory (noise: pixels change no time) to
dreams in memory. One batch after the other, over and over, so that whatever else the machine does falls on all alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import document
import numpy as np

from trtdream.bench.dreaming import noise
from trtdream.bench.results import Row
from trtdream.bench.timing import Repeats, repeat
from trtdream.dream.computing import Computing
from trtdream.dream.dreamer import Dreamer
from trtdream.dream.octaves import Size
from trtdream.recipe.dream_schema import Settings, parse_size
from trtdream.runtime.device import pick_device
from trtdream.runtime.open_model import bundled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--size", type=parse_size, default="320x240")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    device = pick_device(options.device)
    width, height = options.size[1], options.size[0]
    settings = {"device": device, "size": f"{width} x {height}", "octaves": 4, "iterations": 10}
    rows = partial(time_all, options.size, options.batches, device, options.runs)
    document.measure("dream_batch", settings, device, rows, options.out)


def time_all(size: Size, batches: Sequence[int], device: str, runs: int) -> list[Row]:
    dreamer, picture = Dreamer(bundled(), Settings(), Computing(device)), noise(size)

    def run() -> dict[int, float]:
        return {batch: _time(dreamer, [picture] * batch) for batch in batches}

    times = repeat(run, Repeats(runs, warm_up=1, seconds=240))
    return [Row(f"{batch} at once", "picture", timing) for batch, timing in times.items()]


def _time(dreamer: Dreamer, pictures: list[np.ndarray]) -> float:
    start = time.perf_counter()
    dreamer.dream_together(pictures)  # ends when the dreams have come back from the device
    return (time.perf_counter() - start) * 1e3 / len(pictures)


if __name__ == "__main__":
    main()
