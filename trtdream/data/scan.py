"""What would break training, found before it does: every sample looked at, in parallel."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path, PurePath
from typing import BinaryIO, Literal

import numpy as np

from trtdream.console import say
from trtdream.data.decode import HUGE
from trtdream.data.headers import SUFFIX_OF, broken, broken_bytes, broken_file, kind_of
from trtdream.data.sources import Listing, Source
from trtdream.errors import InputRefused

_CHUNK = 512


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one sample."""

    index: int
    name: str
    kind: str  # "broken", "misnamed", "CMYK", "16-bit", "huge", "label", "duplicate"
    detail: str


def check_headers(source: Source, on_bad: Literal["stop", "skip"], threads: int) -> dict[int, str]:
    """The samples that certainly cannot be decoded, by index, each with its name and reason.

    Raises:
        InputRefused: there is one, and `on_bad` is stop; the message names the first ten.
    """
    if isinstance(source, Listing):
        root, paths = source.root, source.paths

        def look(index: int) -> str | None:
            return broken_file(root / paths[index])
    else:

        def look(index: int) -> str | None:
            return broken_bytes(source.content(index)[0].tobytes())

    with ThreadPoolExecutor(threads, "headers") as pool:
        found = enumerate(pool.map(look, range(len(source)), chunksize=_CHUNK))
        bad = {index: f"{source.name(index)}: {reason}" for index, reason in found if reason}
    if bad and on_bad == "stop":
        more = f" and {len(bad) - 10} more" if len(bad) > 10 else ""
        raise InputRefused(
            f"{source.origin}: {len(bad)} of {len(source)} samples cannot be decoded: "
            f"{'; '.join(list(bad.values())[:10])}{more}. Leave them out (`trtdream data scan` writes a list of the "
            "good), or set on_bad: skip"
        )
    for number, line in enumerate(bad.values(), 1):
        say(f"skipped: {line} ({number} so far)")
    return bad


def scan(
    source: Source,
    classes: int | None,
    workers: int,
    deep: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Fault]:
    """All faults of all samples, in order; `deep` decodes every picture as well. Calls `advance` with counts done."""
    faults = list(_label_faults(source, classes)) + list(_duplicates(source))
    if source.stored == "encoded":
        for part, done in _examined(source, workers, deep):
            faults += part
            advance(done)
    else:
        for index in range(len(source)):
            try:
                label = source.content(index)[1]
            except InputRefused as error:
                faults.append(Fault(index, source.name(index), "broken", str(error)))
            else:
                if source.labels is None and classes is not None and not 0 <= label < classes:
                    faults.append(_label_fault(source, index, label, classes))
            advance(1)
    return sorted(faults, key=lambda fault: fault.index)


def good(source: Source, faults: Iterable[Fault]) -> list[int]:
    """The samples without a fault."""
    bad = {fault.index for fault in faults}
    return [index for index in range(len(source)) if index not in bad]


def examine(name: str, stream: BinaryIO, deep: bool) -> tuple[str, str] | None:
    """The first fault of an image file: its kind and what it is; None when there is none."""
    from PIL import Image, UnidentifiedImageError

    if reason := broken(stream):
        return "broken", reason
    stream.seek(0)
    kind = kind_of(stream.read(12))
    called = SUFFIX_OF.get(PurePath(name).suffix.lower())
    if called and kind != called:
        return "misnamed", f"is {kind}, whatever its name says"
    stream.seek(0)
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            picture = Image.open(stream)
        with picture:
            width, height = picture.size
            if width * height > HUGE:
                return "huge", f"has {width} x {height} pixels"
            if picture.mode == "CMYK":
                return "CMYK", "is CMYK, not RGB or grey"
            if picture.mode.startswith(("I", "F")):
                return "16-bit", f"has more than 8 bits a channel ({picture.mode})"
            if deep:
                picture.load()
    except Image.DecompressionBombError:
        return "huge", "has more pixels than Pillow opens"
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        return "broken", f"cannot be decoded ({error})"
    return None


def _examined(source: Source, workers: int, deep: bool) -> Iterator[tuple[list[Fault], int]]:
    chunks = [range(start, min(start + _CHUNK, len(source))) for start in range(0, len(source), _CHUNK)]
    if not isinstance(source, Listing) or len(chunks) < 2 or workers < 2:
        for chunk in chunks:
            yield _examine_contents(source, chunk, deep), len(chunk)
        return
    # Pillow's header parsing holds the interpreter lock: threads would not help
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [
            (pool.submit(_examine_files, source.root, [source.paths[i] for i in chunk], chunk, deep), chunk)
            for chunk in chunks
        ]
        for future, chunk in waiting:
            yield future.result(), len(chunk)


def _examine_files(root: Path, names: list[str], indices: range, deep: bool) -> list[Fault]:
    faults = []
    for name, index in zip(names, indices, strict=True):
        try:
            with (root / name).open("rb") as stream:
                found = examine(name, stream, deep)
        except OSError as error:
            found = ("broken", f"cannot be read ({error.strerror})")
        if found:
            faults.append(Fault(index, name, *found))
    return faults


def _examine_contents(source: Source, indices: range, deep: bool) -> list[Fault]:
    if isinstance(source, Listing):
        return _examine_files(source.root, [source.paths[i] for i in indices], indices, deep)
    faults = []
    for index in indices:
        name = source.name(index)
        try:
            content, _ = source.content(index)
            found = examine(name, io.BytesIO(content.tobytes()), deep)
        except InputRefused as error:
            found = ("broken", str(error))
        if found:
            faults.append(Fault(index, name, *found))
    return faults


def _label_faults(source: Source, classes: int | None) -> Iterator[Fault]:
    if classes is None or source.labels is None:
        return
    for index in np.flatnonzero((source.labels < 0) | (source.labels >= classes)):
        yield _label_fault(source, int(index), int(source.labels[index]), classes)


def _label_fault(source: Source, index: int, label: int, classes: int) -> Fault:
    return Fault(index, source.name(index), "label", f"has the label {label}, outside 0..{classes - 1}")


def _duplicates(source: Source) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for index in range(len(source)):
        name = source.name(index)
        if name in first:
            yield Fault(index, name, "duplicate", f"is listed before, as sample {first[name]}")
        first.setdefault(name, index)
