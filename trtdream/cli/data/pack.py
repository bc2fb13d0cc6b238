"""`trtdream data pack`: decode and resize once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli.data import commands
from trtdream.cli.data.options import OnBadFile, OnBadOption, Root, SourcePath, Threads, cores
from trtdream.cli.options import JsonOption
from trtdream.console import print_json, results, say


class Format(StrEnum):
    """What `pack` writes."""

    packed = "packed"
    lmdb = "lmdb"


class Resize(StrEnum):
    """How a picture gets its size."""

    squash = "squash"
    short_side = "short_side"


@commands.command()
def pack(
    source: SourcePath,
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")],
    size: Annotated[int, typer.Option(min=1, help="Side of the packed pictures, in pixels.")] = 256,
    resize: Annotated[Resize, typer.Option(help="squash as Caffe does, or short_side and the centre.")] = Resize.squash,
    format: Annotated[Format, typer.Option(help="packed: for trtdream; lmdb: for Caffe too.")] = Format.packed,
    root: Root = None,
    on_bad: OnBadOption = OnBadFile.stop,
    threads: Threads = None,
    device: Annotated[str, typer.Option(help="Where to decode: cpu, or cuda:0.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Decode and resize once; training then streams the bytes. Stopped half-way, the same command goes on."""
    from trtdream.data.pack import Packing, bytes_needed
    from trtdream.data.pack import pack as pack_set
    from trtdream.data.packlmdb import pack_lmdb
    from trtdream.data.progress import tracked
    from trtdream.data.sources import open_source
    from trtdream.data.transform import Transform

    opened = open_source(source, root)
    transform = Transform(size=size, resize=resize.value, crop=size if resize is Resize.short_side else None).check()
    packing = Packing(transform, threads or cores(), device, on_bad.value)
    needed = bytes_needed(opened, transform)
    say(f"{len(opened)} pictures will take {_size(needed)} in {output}")
    with tracked(len(opened), "packing") as advance:
        write = pack_lmdb if format is Format.lmdb else pack_set
        count, left_out = write(opened, output, packing, advance)
    if as_json:
        print_json({"output": str(output), "count": count, "bytes": needed, "left_out": left_out})
        return
    results.print(f"{output}: {count} pictures packed, {len(left_out)} left out")
    for name in left_out:
        results.print(f"left out: {name}", markup=False)


def _size(count: int) -> str:
    return f"{count / 1e9:.0f} GB" if count >= 10e9 else f"{count / 1e6:.0f} MB"
