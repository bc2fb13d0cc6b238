"""Images a second from each source to finished float batches on the device, and what a fast step waits for them.

    python benchmarks/data.py [-o FILE.json] [--device cuda] [--threads N ...] [--files LIST --root DIR]

CaffeNet's TRAIN transform (crop 227, mirror, 3 x 256 x 256 mean image), whole-set shuffle. Pictures: 256 x 256 JPEGs of
quality 90, drawn here, or with --files your own, at their native sizes. Sources: those files, decoded by DALI on the
device's side; the set packed, in the page cache and, second, thrown out of it before each run (the disk's figure); kept
on the device. Included: reading, decoding, the copy to the device, crop to cast. A batch is timed by its wall clock;
the median over `runs` batches, two kept ready. `waiting` is the share of its time that a step of --step images/s, made
of sleeping, waits for the packed set in the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trtdream.bench.feeding import draw_files, forget
from trtdream.bench.machine import describe_machine
from trtdream.bench.timing import measure
from trtdream.caffe.mean import write_mean
from trtdream.data.feed import Feed
from trtdream.data.loader import Loader
from trtdream.data.pack import Packing, pack
from trtdream.data.sources import Source, open_source
from trtdream.data.transform import Transform
from trtdream.files import write_file

SIZE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, len(os.sched_getaffinity(0))])
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--files", type=Path, help="a list of your own files instead of drawn ones")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--step", type=float, default=25_000.0, help="images/s of the step that waits")
    parser.add_argument("--folder", type=Path, help="where to pack (a disk worth measuring) [default: temporary]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        document = benchmark(Path(name), options)
    text = json.dumps(document, indent=2)
    print(text)
    if options.out:
        write_file(options.out, text + "\n")


def benchmark(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    write_mean(folder / "mean.npy", np.random.RandomState(0).uniform(90, 130, (3, SIZE, SIZE)))
    transform = Transform(size=SIZE, crop=227, mirror=True, mean_file=folder / "mean.npy")
    files = open_source(options.files, options.root) if options.files else draw_files(folder, options.images)
    pack(files, folder / "set", Packing(Transform(size=SIZE), max(options.threads), on_bad="skip"))
    packed = folder / "set"
    rows = []
    for threads in options.threads:
        for batch in options.batch:
            feed = Feed(batch, seed=1, threads=threads, device=options.device, on_bad="skip", check_files=False)
            rows += [
                row("files", files, transform, feed, options.runs),
                row("packed, page cache", open_source(packed), transform, feed, options.runs),
                row("packed, from disk", open_source(packed), transform, feed, options.runs, cold=True),
                row(
                    "packed, on the device",
                    open_source(packed),
                    transform,
                    replace(feed, cache="gpu"),
                    options.runs,
                ),
            ]
    waiting = share_waiting(open_source(packed), transform, feed, options.step)
    return {
        "machine": describe_machine(),
        "load_average": [round(value, 1) for value in os.getloadavg()],  # above the cores: others were at work
        "pictures": {"count": len(files), "files": "drawn, 256 x 256, quality 90" if not options.files else "own"},
        "device": options.device,
        "rows": rows,
        "waiting": {"step_images_per_s": options.step, "share": round(waiting, 4)},
    }


def row(name: str, source: Source, transform: Transform, feed: Feed, runs: int, cold: bool = False) -> dict[str, Any]:
    if cold:
        forget(source)
        source = open_source(source.origin)
    with Loader(source, transform, feed) as loader:
        timing = measure(lambda: next(loader), runs, 1 if cold else 5, finish=synchronise(feed.device))
    return {
        "source": name,
        "threads": feed.threads,
        "batch": feed.batch,
        "images_per_s": round(feed.batch / timing.median_ms * 1e3),
        **timing.as_document(),
    }


def share_waiting(source: Source, transform: Transform, feed: Feed, rate: float, steps: int = 50) -> float:
    with Loader(source, transform, feed) as loader:
        for _ in range(5):
            next(loader)
        before, started = loader.waited, time.perf_counter()
        for _ in range(steps):
            next(loader)
            time.sleep(feed.batch / rate)
        return (loader.waited - before) / (time.perf_counter() - started)


def synchronise(device: str) -> Any:
    import torch

    return torch.cuda.synchronize if device.startswith("cuda") else int


if __name__ == "__main__":
    main()
