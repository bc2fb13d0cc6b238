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
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from document import measure

from trtdream.bench.feeding import draw_files, forget, time_feed
from trtdream.bench.feeding_limit import least_of
from trtdream.bench.limits import limits_of
from trtdream.bench.results import Row
from trtdream.bench.timing import Repeats, timing_of
from trtdream.caffe.mean import write_mean
from trtdream.data.feed import Feed
from trtdream.data.loader import Loader
from trtdream.data.pack import Packing, pack
from trtdream.data.sources import Source, open_source
from trtdream.data.transform import Transform

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
    files = "own" if options.files else "drawn, 256 x 256, quality 90"
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        settings = {"device": options.device, "files": files}
        measure("data", settings, options.device, lambda: time_all(Path(name), options), options.out)


def time_all(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    write_mean(folder / "mean.npy", np.random.RandomState(0).uniform(90, 130, (3, SIZE, SIZE)))
    transform = Transform(size=SIZE, crop=227, mirror=True, mean_file=folder / "mean.npy")
    files = open_source(options.files, options.root) if options.files else draw_files(folder, options.images)
    pack(files, folder / "set", Packing(Transform(size=SIZE), max(options.threads), on_bad="skip"))
    packed = folder / "set"
    for threads in options.threads:
        for batch in options.batch:
            feed = Feed(batch, seed=1, threads=threads, device=options.device, on_bad="skip", check_files=False)
            resident = replace(feed, cache="gpu")
            yield row("files", files, transform, feed, options.runs)
            yield row("packed, page cache", open_source(packed), transform, feed, options.runs)
            yield row("packed, from disk", open_source(packed), transform, feed, options.runs, cold=True)
            yield row("packed, on the device", open_source(packed), transform, resident, options.runs)
    yield waiting(open_source(packed), transform, feed, options.step)


def row(name: str, source: Source, transform: Transform, feed: Feed, runs: int, cold: bool = False) -> Row:
    least = least_of(source, limits_of)
    if cold:
        forget(source)
        source = open_source(source.origin)
    part = f"{feed.threads} thread{'s' * (feed.threads > 1)}, batch {feed.batch}"
    found = time_feed(name, part, source, transform, feed, Repeats(runs, 1 if cold else 5), least)
    return replace(found, extra={**found.extra, "threads": feed.threads})


def waiting(source: Source, transform: Transform, feed: Feed, rate: float, steps: int = 50) -> Row:
    """What a step of so many images a second waits for the packed set, and the share of its time."""
    waits = []
    with Loader(source, transform, feed) as loader:
        for _ in range(5):
            next(loader)
        started = time.perf_counter()
        for _ in range(steps):
            before = loader.waited
            next(loader)
            waits.append((loader.waited - before) * 1e3)
            time.sleep(feed.batch / rate)
        share = sum(waits) / 1e3 / (time.perf_counter() - started)
    name = f"a step of {rate:,.0f} images/s"
    return Row(name, "wait for the packed set", timing_of(waits, warm_up=5), extra={"share": round(share, 4)})


if __name__ == "__main__":
    main()
