"""How fast batches come from a source, finished on the device."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from trtdream.bench.feeding_limit import Least, least_of
from trtdream.bench.limits import LimitsOf
from trtdream.bench.results import Row, per_image
from trtdream.bench.timing import Repeats, measure
from trtdream.data.feed import Feed
from trtdream.data.lists import write_list
from trtdream.data.loader import Loader
from trtdream.data.sources import Source, open_source
from trtdream.data.synth import MOST_CLASSES, draw
from trtdream.data.transform import Transform
from trtdream.errors import UsageError

CACHED, FROM_DISK, RESIDENT = "page cache", "from disk", "on the device"
_QUALITY = 90
_DISTINCT = 100  # drawing costs more than decoding: as many pictures, each many times over as files of their own


def time_source(
    path: Path,
    root: Path | None,
    transform: Transform,
    feeds: Sequence[Feed],
    repeats: Repeats,
    limits_of: LimitsOf,
    on_part: Callable[[str], None] = lambda _: None,
) -> Iterator[Row]:
    """A row for each way of feeding and each place that the set can lie in.

    Args:
        feeds: one for each number of threads.
        limits_of: a device's ceilings, which the rows are held against.
        on_part: told what is measured next.

    Raises:
        UsageError, InputRefused: as `open_source` and `Loader`.
    """
    source = open_source(path, root)
    least = least_of(source, limits_of)
    for feed in feeds:
        name = f"{feed.threads} thread{'s' * (feed.threads > 1)}"
        on_part(f"{name}, {CACHED}")
        yield time_feed(name, CACHED, source, transform, feed, repeats, least)
        on_part(f"{name}, {FROM_DISK}")
        if forget(source):
            source = open_source(path, root)
            yield time_feed(name, FROM_DISK, source, transform, feed, _barely_warmed(repeats), least)
        else:
            yield Row(name, FROM_DISK, None, "this system does not let go of cached files")
        on_part(f"{name}, {RESIDENT}")
        try:
            yield time_feed(name, RESIDENT, source, transform, replace(feed, cache="gpu"), repeats, least)
        except UsageError as error:
            yield Row(name, RESIDENT, None, str(error))


def time_feed(
    name: str, part: str, source: Source, transform: Transform, feed: Feed, repeats: Repeats, least: Least
) -> Row:
    """One row: a batch of the loader with its default of batches kept ready, by the wall clock."""
    with Loader(source, transform, feed) as loader:
        finish = _synchronise(feed.device)
        timing = measure(lambda: next(loader), repeats.runs, repeats.warm_up, finish, repeats.seconds)
        bound = least.bound(timing.median_ms, next(loader).data.nbytes, feed)
    return Row(name, part, timing, extra={**per_image(timing, feed.batch), **bound.as_document()})


def draw_files(folder: Path, count: int, size: int = 256) -> Source:
    """So many JPEGs drawn into a folder, with a list of them."""
    drawn = [_jpeg(number, size) for number in range(min(count, _DISTINCT))]
    lines = []
    for number in range(count):
        name = f"{number:05d}.jpg"
        (folder / name).write_bytes(drawn[number % len(drawn)])
        lines.append((name, number % len(drawn) % MOST_CLASSES))
    write_list(folder / "list.txt", lines)
    return open_source(folder / "list.txt")


def _jpeg(number: int, size: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(draw(number % MOST_CLASSES, number // MOST_CLASSES, size)).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _barely_warmed(repeats: Repeats) -> Repeats:
    """For a set on the disk: what warming up has read is in memory afterwards, so as little of it as can be."""
    return Repeats(repeats.runs, 1, repeats.seconds)


def forget(source: Source) -> bool:
    """Ask the kernel to drop a source's files from the page cache; False if it cannot be asked. Mapped pages stay."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in _files(source):
        with suppress(OSError), path.open("rb") as stream:
            os.fdatasync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def _files(source: Source) -> Iterator[Path]:
    """What the source reads: its samples' own files, or those of the database or packed set."""
    if source.stored == "encoded" and hasattr(source, "root"):
        yield from (source.root / source.name(index) for index in range(len(source)))
    elif source.origin.is_dir():
        yield from (path for path in source.origin.iterdir() if path.is_file())


def _synchronise(device: str) -> Callable[[], object]:
    import torch

    return torch.cuda.synchronize if device.startswith("cuda") else int
