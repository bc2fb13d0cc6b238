"""`trtdream data mean`: the mean image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli.data import commands
from trtdream.cli.data.options import OnBadFile, OnBadOption, Root, SourcePath, Threads, cores
from trtdream.cli.options import ForceOption, JsonOption
from trtdream.console import print_json, results


@commands.command()
def mean(
    source: SourcePath,
    output: Annotated[Path, typer.Option("-o", "--output", help="mean.binaryproto (Caffe's) or mean.npy.")],
    size: Annotated[
        int, typer.Option(min=1, help="Side the pictures are squashed to; databases and packed sets stay.")
    ] = 256,
    picture: Annotated[Path | None, typer.Option(help="Where to show it. Default: beside the output, .png.")] = None,
    root: Root = None,
    on_bad: OnBadOption = OnBadFile.stop,
    threads: Threads = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
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
        found = mean_image(opened, Transform(size=size), threads or cores(), on_bad.value, advance)
    write_mean(output, found)
    write_picture(picture, found, {"mean_of": str(source), "count": len(opened)})
    channels = [float(value) for value in found.mean(axis=(1, 2), dtype="float64")]
    if as_json:
        print_json({"mean": str(output), "shape": found.shape, "mean_value": channels, "picture": str(picture)})
        return
    for number, value in enumerate(channels):  # as compute_image_mean prints it
        results.print(f"mean_value channel [{number}]: {value:.6g}", markup=False)
    results.print(f"{output}, shown in {picture}", markup=False)
