"""`trtdream data show`: a batch as the network sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trtdream.cli.data import commands
from trtdream.cli.data.options import OnBadFile, OnBadOption, Root, SourcePath, Threads, cores
from trtdream.cli.options import ForceOption
from trtdream.console import results

if TYPE_CHECKING:
    from trtdream.data.sources import Source


@commands.command()
def show(
    source: SourcePath,
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write (.png or .jpg).")] = Path(
        "batch.png"
    ),
    batch: Annotated[int, typer.Option(min=1, help="How many samples.")] = 32,
    size: Annotated[int, typer.Option(min=1, help="Side the pictures are squashed to.")] = 256,
    crop: Annotated[int | None, typer.Option(min=1, help="Side of the crop. Default: none.")] = None,
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
    force: ForceOption = False,
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
        threads=threads or cores(),
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


def _labels(source: Source) -> str:
    if source.labels is None:
        return "labels as the database has them"
    return f"{len(set(source.labels.tolist()))} labels in the source"
