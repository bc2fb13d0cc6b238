"""Packing: decode and resize once, write shards that training maps into memory.

A shard is written whole or not at all, and beside it a note of what it holds; a pack that was stopped, by whatever,
goes on with the first shard that has no note. The index comes last.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trtdream import __version__
from trtdream.data.decoded import OnBad
from trtdream.data.onepass import one_pass, resized_shape
from trtdream.data.packed import INDEX, Index, Shard, open_packed
from trtdream.data.sources import Source, fingerprint
from trtdream.data.transform import Transform
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.files import replacing, sha256, write_file

PLAN = "plan.json"
SHARD_BYTES = 1 << 30
_MARGIN = 64 << 20  # left free for labels, names and whoever else writes


@dataclass(frozen=True)
class Packing:
    """How to pack: the transform says the size; the rest is how."""

    transform: Transform
    threads: int = 2
    device: str = "cpu"
    on_bad: OnBad = "stop"
    shard_bytes: int = SHARD_BYTES


def bytes_needed(source: Source, transform: Transform) -> int:
    """What the pixels of a packed set take on the disk."""
    return len(source) * int(np.prod(resized_shape(source, transform)))


def pack(
    source: Source, folder: Path, packing: Packing, advance: Callable[[int], None] = lambda _: None
) -> tuple[int, tuple[str, ...]]:
    """Pack a source into `folder`, or go on packing it there. Calls `advance` with counts done.

    Returns:
        How many samples the set has, and the names of those left out.

    Raises:
        UsageError: something else lies in the folder.
        InputRefused: a sample cannot be decoded, and `on_bad` is stop. What is packed so far stays.
        TrtdreamError: the disk has not enough room, or is full. What is packed so far stays.
    """
    shape = resized_shape(source, packing.transform)
    per_shard = max(1, packing.shard_bytes // int(np.prod(shape)))
    ranges = [range(start, min(start + per_shard, len(source))) for start in range(0, len(source), per_shard)]
    left = sum(len(part) for number, part in enumerate(ranges) if not _note(folder, number).exists())
    _begin(source, folder, packing, per_shard, left * int(np.prod(shape)))
    for number, part in enumerate(ranges):
        if _note(folder, number).exists():
            advance(len(part))
        else:
            _write_shard(source, folder, number, part, packing, advance)
    return _finish(source, folder, len(ranges), packing, shape)


def _begin(source: Source, folder: Path, packing: Packing, per_shard: int, needed: int) -> None:
    """Write down what is being packed, or see that it is the same as before; and that `needed` bytes are free."""
    plan = {
        "source": fingerprint(source),
        "transform": _plain(packing.transform),
        "shape": list(resized_shape(source, packing.transform)),
        "per_shard": per_shard,
        "on_bad": packing.on_bad,
    }
    if (folder / INDEX).exists():
        raise UsageError(f"{folder}: is a packed set already: give another name with -o, or remove it")
    if (folder / PLAN).exists():
        if _read_note(folder / PLAN) != plan:
            raise UsageError(
                f"{folder}: is half a packed set of another source or size: give another name with -o, or remove it"
            )
        for leftover in folder.glob(".shard-*"):  # of a pack that was killed
            leftover.unlink()
    elif folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is not empty: give another name with -o")
    _check_space(folder, needed)
    write_file(folder / PLAN, json.dumps(plan, indent=1))


def _check_space(folder: Path, needed: int) -> None:
    place = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(place).free
    if needed + _MARGIN > free:
        raise TrtdreamError(
            f"{folder}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free: pack elsewhere with -o, "
            "or make room and run the same again"
        )


def _write_shard(
    source: Source, folder: Path, number: int, part: range, packing: Packing, advance: Callable[[int], None]
) -> None:
    digest = hashlib.sha256()
    labels: list[int] = []
    indices: list[int] = []
    left_out: list[int] = []
    with replacing(folder / _shard_name(number)) as temporary, temporary.open("wb") as stream:
        passed = one_pass(source, packing.transform, packing.threads, packing.device, packing.on_bad, part)
        for some in passed:
            content = some.pixels.tobytes()
            stream.write(content)
            digest.update(content)
            labels += some.labels.tolist()
            indices += some.indices.tolist()
            left_out += some.left_out
            advance(len(some.indices) + len(some.left_out))
    note = {"sha256": digest.hexdigest(), "labels": labels, "indices": indices, "left_out": left_out}
    write_file(_note(folder, number), json.dumps(note))


def _finish(
    source: Source, folder: Path, count: int, packing: Packing, shape: tuple[int, int, int]
) -> tuple[int, tuple[str, ...]]:
    notes = [_read_note(_note(folder, number)) for number in range(count)]
    labels = np.array([label for note in notes for label in note["labels"]], np.int64)
    names = [source.name(index) for note in notes for index in note["indices"]]
    left_out = tuple(source.name(index) for note in notes for index in note["left_out"])
    if not names:
        raise InputRefused(f"{source.origin}: no sample could be decoded")
    buffer = io.BytesIO()
    np.save(buffer, labels)
    write_file(folder / "labels.npy", buffer.getvalue())
    write_file(folder / "names.txt", "".join(f"{name}\n" for name in names).encode(errors="surrogateescape"))
    shards = tuple(
        Shard(_shard_name(number), len(note["indices"]), note["sha256"])
        for number, note in enumerate(notes)
        if note["indices"]
    )
    made_from = {
        "source": str(source.origin),
        "transform": _plain(packing.transform),
        "left_out": left_out,
        "trtdream": __version__,
    }
    index = Index(shape, shards, sha256(folder / "labels.npy"), sha256(folder / "names.txt"), made_from)
    write_file(folder / INDEX, index.text())
    open_packed(folder)
    for number, note in enumerate(notes):
        if not note["indices"]:  # nothing of it could be decoded
            (folder / _shard_name(number)).unlink()
        _note(folder, number).unlink()
    (folder / PLAN).unlink()
    return len(names), left_out


def _shard_name(number: int) -> str:
    return f"shard-{number:05d}.bin"


def _note(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.json"


def _read_note(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise InputRefused(f"{path}: is damaged ({error}): remove the folder and pack again") from error


def _plain(transform: Transform) -> dict[str, Any]:
    kept = asdict(transform)
    return {key: kept[key] for key in ("size", "resize", "crop")}
