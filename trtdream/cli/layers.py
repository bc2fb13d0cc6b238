"""`trtdream layers`: what a network consists of."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from trtdream.cli import app
from trtdream.cli.options import JsonOption
from trtdream.console import print_json, results, table


@app.command()
def layers(
    net: Annotated[str | None, typer.Argument(help="Zoo name, prototxt or bundle; default: googlenet.")] = None,
    phase: Annotated[str, typer.Option("--phase", help="TEST or TRAIN.")] = "TEST",
    inputs: Annotated[
        list[str] | None, typer.Option("--input", metavar="BLOB=NxCxHxW", help="Another shape for an input.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List a network's blobs in Caffe's order, with kind, shape, parameters and multiply-accumulates.

    The index is what `dream --layer` takes: 68 is inception_4c/output in GoogLeNet's classic list of 121.
    """
    from trtdream.net.listing import list_blobs
    from trtdream.runtime.open_model import open_net

    described = open_net(net)
    rows = list_blobs(described, parse_phase(phase), parse_shapes(inputs or []))
    parameters, macs = sum(row.parameters for row in rows), sum(row.macs for row in rows)
    if as_json:
        blobs: list[dict[str, Any]] = [vars(row) for row in rows]
        print_json({"network": described.name, "parameters": parameters, "macs": macs, "blobs": blobs})
        return
    listed = table("", "blob", "kind", "shape", "parameters", "MACs", right=("parameters", "MACs"))
    for row in rows:
        shape = " x ".join(map(str, row.shape))
        numbers = (f"{row.parameters:,}" if row.parameters else "", f"{row.macs:,}" if row.macs else "")
        listed.add_row(f"{row.index:04d}", row.blob, row.kind, shape, *numbers)
    results.print(listed)
    results.print(f"{described.name}: {len(rows)} blobs, {parameters:,} parameters, {macs:,} MACs", markup=False)


def parse_phase(text: str) -> Any:
    """TRAIN or TEST, in any case."""
    from trtdream.errors import UsageError
    from trtdream.net.kind import Phase

    if text.upper() not in Phase.__members__:
        raise UsageError(f"--phase {text}: is neither TRAIN nor TEST")
    return Phase[text.upper()]


def parse_shapes(texts: list[str]) -> dict[str, tuple[int, ...]]:
    """`data=1x3x224x224` as {"data": (1, 3, 224, 224)}."""
    from trtdream.errors import UsageError

    shapes = {}
    for text in texts:
        blob, _, sizes = text.rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.split("x"))
        except ValueError:
            shape = ()
        if not blob or not shape or min(shape) < 1:
            raise UsageError(f"--input {text}: is not of the form BLOB=NxCxHxW, as in data=1x3x224x224")
        shapes[blob] = shape
    return shapes
