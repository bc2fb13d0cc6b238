"""`trtdream import`: a bundle of a Caffe model's files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli import app
from trtdream.cli.options import JsonOption
from trtdream.console import print_json, results


@app.command("import")
def import_(
    sources: Annotated[list[Path], typer.Argument(metavar="DIR|FILE...", help="A folder, or the files themselves.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="BUNDLE", help="The folder to make.")],
    mean: Annotated[
        str | None, typer.Option("--mean", metavar="B,G,R|FILE", help="Mean values, or .binaryproto or .npy.")
    ] = None,
    scale: Annotated[float | None, typer.Option("--scale", help="What a pixel minus mean is multiplied by.")] = None,
    squash: Annotated[
        str | None, typer.Option("--squash", metavar="HxW", help="Size a picture is squashed to before the crop.")
    ] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="One class a line.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a bundle, which is a network wherever one is asked for, of a prototxt, a caffemodel, a mean and labels.

    Among several prototxt files the one called deploy is the network; a train_val beside it tells mean and scale.
    """
    from trtdream.runtime.bundle import write_bundle
    from trtdream.runtime.importing import collect, make_bundle, parse_mean, parse_size

    files = collect(sources, labels)
    bundle = make_bundle(files, parse_mean(mean), scale, parse_size(squash))
    write_bundle(out, bundle)
    if as_json:
        used = {key: str(value) for key, value in vars(files).items() if value}
        print_json({"bundle": str(out), "network": bundle.net.name, "classes": len(bundle.labels), "files": used})
        return
    for what, path in vars(files).items():
        if path:
            results.print(f"{what:9} {path}", markup=False)
    results.print(f"{out}: {bundle.net.name}; try `trtdream classify --net {out} IMAGE`", markup=False)
