"""Packing into a Caffe LMDB: what `convert_imageset -resize_height S -resize_width S` makes of a list."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from trtdream.caffe.datum import raw_datum
from trtdream.caffe.lmdb import caffe_key, write_lmdb
from trtdream.data.onepass import one_pass
from trtdream.data.pack import Packing, bytes_needed
from trtdream.data.sources import Source
from trtdream.errors import InputRefused, TrtdreamError, UsageError


def pack_lmdb(
    source: Source, folder: Path, packing: Packing, advance: Callable[[int], None] = lambda _: None
) -> tuple[int, tuple[str, ...]]:
    """Write an LMDB of raw Datums that real Caffe reads; whole or not at all, so it cannot be gone on with.

    Returns:
        How many samples it has, and the names of those left out.

    Raises:
        UsageError: the folder exists.
        InputRefused: a sample cannot be decoded, and `on_bad` is stop.
        TrtdreamError: the disk has not enough room.
    """
    if folder.exists():
        raise UsageError(f"{folder}: exists already: give another name with -o, or remove it")
    needed = bytes_needed(source, packing.transform)
    parent = next(place for place in folder.absolute().parents if place.exists())
    free = shutil.disk_usage(parent).free
    if needed * 1.1 > free:
        raise TrtdreamError(f"{folder}: {needed * 1.1 / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free")
    left_out: list[str] = []
    count = 0

    def values() -> Iterator[tuple[bytes, bytes]]:
        nonlocal count
        for part in one_pass(source, packing.transform, packing.threads, packing.device, packing.on_bad):
            for index, label, pixels in zip(part.indices, part.labels, part.pixels, strict=True):
                yield caffe_key(int(index), source.name(int(index))), raw_datum(pixels, int(label))
            count += len(part.indices)
            left_out.extend(source.name(index) for index in part.left_out)
            advance(len(part.indices) + len(part.left_out))
        if count == 0:
            raise InputRefused(f"{source.origin}: no sample could be decoded")

    write_lmdb(folder, values(), needed)
    return count, tuple(left_out)
