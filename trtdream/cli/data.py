"""`trtdream data`: from files to packed sets, means, lists, and pictures of what the network sees."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trtdream.cli import app
from trtdream.console import print_json, results, say, table

if TYPE_CHECKING:
    from trtdream.data.sources import Source

commands = typer.Typer(help="Prepare pictures for training: pack, mean, scan, list, show.", no_args_is_help=True)
app.add_typer(commands, name="data")


class Format(StrEnum):
    """What `pack` writes."""

    packed = "packed"
    lmdb = "lmdb"


class Resize(StrEnum):
    """How a picture gets its size."""

    squash = "squash"
    short_side = "short_side"


class OnBadFile(StrEnum):
    """What is done about a file that cannot be decoded."""

    stop = "stop"
    skip = "skip"


SourcePath = Annotated[
    Path,
    typer.Argument(
        help="A list file of `path label` lines, a folder per class, a Caffe LMDB or LevelDB, or a packed set."
    ),
]
Root = Annotated[Path | None, typer.Option(help="The folder that a list's paths start from. [default: the list's own]")]
Threads = Annotated[int | None, typer.Option(min=1, help="Decoding threads. [default: one per CPU core]")]
OnBadOption = Annotated[OnBadFile, typer.Option("--on-bad", help="A file that cannot be decoded: stop, or skip it.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what exists.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


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
    json: Json = False,
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
    packing = Packing(transform, threads or _cores(), device, on_bad.value)
    needed = bytes_needed(opened, transform)
    say(f"{len(opened)} pictures will take {_size(needed)} in {output}")
    with tracked(len(opened), "packing") as advance:
        write = pack_lmdb if format is Format.lmdb else pack_set
        count, left_out = write(opened, output, packing, advance)
    if json:
        print_json({"output": str(output), "count": count, "bytes": needed, "left_out": left_out})
        return
    results.print(f"{output}: {count} pictures packed, {len(left_out)} left out")
    for name in left_out:
        results.print(f"left out: {name}", markup=False)


@commands.command()
def verify(folder: Annotated[Path, typer.Argument(help="A packed set.")], json: Json = False) -> None:
    """Check every checksum of a packed set."""
    from trtdream.data.packed import verify as verify_set

    count = verify_set(folder)
    if json:
        print_json({"packed": str(folder), "count": count, "whole": True})
    else:
        results.print(f"{folder}: whole, {count} pictures")


@commands.command()
def mean(
    source: SourcePath,
    output: Annotated[Path, typer.Option("-o", "--output", help="mean.binaryproto (Caffe's) or mean.npy.")],
    size: Annotated[
        int, typer.Option(min=1, help="Side the pictures are squashed to; databases and packed sets stay.")
    ] = 256,
    picture: Annotated[Path | None, typer.Option(help="Where to show it. [default: beside the output, .png]")] = None,
    root: Root = None,
    on_bad: OnBadOption = OnBadFile.stop,
    threads: Threads = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Compute the mean image, as Caffe's compute_image_mean does, and show it."""
    from trtdream.caffe.mean import write_mean
    from trtdream.data.mean import mean_image
    from trtdream.data.progress import tracked
    from trtdream.data.sheet import write_picture
    from trtdream.data.sources import open_source
    from trtdream.data.transform import Transform
    from trtdream.files import refuse_overwrite

    picture = picture or output.with_suffix(".png")
    for path in (output, picture):
        refuse_overwrite(path, force)
    opened = open_source(source, root)
    with tracked(len(opened), "mean") as advance:
        found = mean_image(opened, Transform(size=size), threads or _cores(), on_bad.value, advance)
    write_mean(output, found)
    write_picture(picture, found, {"mean_of": str(source), "count": len(opened)})
    channels = [float(value) for value in found.mean(axis=(1, 2), dtype="float64")]
    if json:
        print_json({"mean": str(output), "shape": found.shape, "mean_value": channels, "picture": str(picture)})
        return
    for number, value in enumerate(channels):  # as compute_image_mean prints it
        results.print(f"mean_value channel [{number}]: {value:.6g}", markup=False)
    results.print(f"{output}, shown in {picture}", markup=False)


@commands.command()
def scan(
    source: SourcePath,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write a list of the good samples.")] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="The net's classes: labels must be below.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Decode every picture, not only look at its header.")] = False,
    root: Root = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. [default: one per CPU core]")] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Find what would break training; exit code 3 if there is any."""
    from trtdream.data.lists import write_good
    from trtdream.data.progress import tracked
    from trtdream.data.scan import good
    from trtdream.data.scan import scan as scan_source
    from trtdream.data.sources import open_source
    from trtdream.errors import InputRefused
    from trtdream.files import refuse_overwrite

    if output is not None:
        refuse_overwrite(output, force)
    opened = open_source(source, root)
    with tracked(len(opened), "scanning") as advance:
        faults = scan_source(opened, classes, workers or _cores(), deep, advance)
    fine = good(opened, faults)
    if output is not None:
        write_good(output, opened, fine)
    if json:
        print_json({"count": len(opened), "good": len(fine), "faults": [asdict(fault) for fault in faults]})
    else:
        shown = table("sample", "name", "fault", "what it is", right=("sample",))
        for fault in faults:
            shown.add_row(str(fault.index), fault.name, fault.kind, fault.detail)
        if faults:
            results.print(shown)
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(fault.kind for fault in faults).items())
        results.print(f"{len(opened)} samples, {len(fine)} good" + (f"; {kinds}" if kinds else ""))
    if faults:
        raise InputRefused(
            f"{source}: {len(opened) - len(fine)} samples would break training or are listed twice: "
            + (f"train on {output}" if output else "write a list of the good ones with -o")
        )


@commands.command("list")
def list_files(
    folder: Annotated[
        Path, typer.Argument(help="A folder per class, or one that holds such folders as train and val.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write. [default: the folder itself]")
    ] = None,
    val: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of each class for validation, where val is no folder.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Which files that are.")] = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write train.txt and val.txt (Caffe's `path label` lines) for a folder per class."""
    from trtdream.data.lists import split_folder, write_list
    from trtdream.errors import UsageError
    from trtdream.files import refuse_overwrite

    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    target = output or folder
    for part in ("train", "val"):
        refuse_overwrite(target / f"{part}.txt", force)
    train, validation = split_folder(folder, val, seed)
    write_list(target / "train.txt", train)
    write_list(target / "val.txt", validation)
    classes = 1 + max(label for _, label in train)
    if json:
        print_json({"train": len(train), "val": len(validation), "classes": classes, "folder": str(target)})
        return
    results.print(f"{target}: train.txt ({len(train)} pictures), val.txt ({len(validation)}), {classes} classes")
    if target != folder:
        say(f"their paths start at {folder}: read them with --root {folder}")


@commands.command()
def show(
    source: SourcePath,
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write (.png or .jpg).")] = Path(
        "batch.png"
    ),
    batch: Annotated[int, typer.Option(min=1, help="How many samples.")] = 32,
    size: Annotated[int, typer.Option(min=1, help="Side the pictures are squashed to.")] = 256,
    crop: Annotated[int | None, typer.Option(min=1, help="Side of the crop. [default: none]")] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Mirror every other sample.")] = False,
    mean_file: Annotated[
        Path | None, typer.Option("--mean", help="The mean image to subtract (and to add back).")
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="As in the TEST phase: in order, the crop in the centre.")
    ] = False,
    position: Annotated[int, typer.Option(min=0, help="The first sample's place in the stream.")] = 0,
    seed: Annotated[int, typer.Option(help="The seed of order, crops and mirrors.")] = 0,
    columns: Annotated[int, typer.Option(min=1, help="Pictures in a row.")] = 8,
    root: Root = None,
    on_bad: OnBadOption = OnBadFile.stop,
    threads: Threads = None,
    force: Force = False,
) -> None:
    """Write a contact sheet of a batch as the network sees it, the mean added back, with labels."""
    from trtdream.data.feed import Feed
    from trtdream.data.loader import Loader
    from trtdream.data.sheet import captions, seen, write_sheet
    from trtdream.data.sources import open_source
    from trtdream.data.transform import Transform
    from trtdream.files import refuse_overwrite

    refuse_overwrite(output, force)
    transform = Transform(size=size, crop=crop, mirror=mirror, mean_file=mean_file)
    feed = Feed(
        batch,
        phase="TEST" if test else "TRAIN",
        seed=seed,
        shuffle=not test,
        threads=threads or _cores(),
        on_bad=on_bad.value,
    )
    opened = open_source(source, root)
    with Loader(opened, transform, feed) as loader:
        loader.load_state_dict({**loader.state_dict(), "position": position})
        taken = next(loader)
        made_by: dict[str, Any] = {"source": str(source), "position": position, "seed": seed, "phase": feed.phase}
        made_by |= {"crop": crop, "mirror": mirror, "mean": str(mean_file) if mean_file else None}
        write_sheet(output, seen(loader, taken), captions(opened, taken), columns, made_by)
    results.print(f"{output}: {batch} samples, {_labels(opened)}", markup=False)


@commands.command()
def synth(
    folder: Annotated[Path, typer.Argument(help="The folder to write.")],
    classes: Annotated[int, typer.Option(help="How many kinds of textured shapes.")] = 10,
    images: Annotated[int, typer.Option(min=1, help="Pictures to train on.")] = 640,
    val: Annotated[int, typer.Option(min=1, help="Pictures to validate on.")] = 160,
    size: Annotated[int, typer.Option(min=16, help="Side, in pixels.")] = 96,
    json: Json = False,
) -> None:
    """Draw a small data set that a small network learns on a CPU in a minute; always the same pictures."""
    from trtdream.data.progress import tracked
    from trtdream.data.synth import synthesise
    from trtdream.errors import UsageError

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is not empty: give another folder")
    with tracked(images + val, "drawing") as advance:
        synthesise(folder, classes, images, val, size, advance)
    if json:
        print_json({"folder": str(folder), "classes": classes, "train": images, "val": val})
    else:
        results.print(f"{folder}: {images} pictures in train.txt, {val} in val.txt, {classes} classes")


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


def _size(count: int) -> str:
    return f"{count / 1e9:.0f} GB" if count >= 10e9 else f"{count / 1e6:.0f} MB"


def _labels(source: Source) -> str:
    if source.labels is None:
        return "labels as the database has them"
    return f"{len(set(source.labels.tolist()))} labels in the source"
