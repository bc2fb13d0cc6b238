"""`trtdream classify`: what a network sees in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli import app
from trtdream.cli.options import DeviceOption, JsonOption, NetOption, OfflineOption, WeightsOption
from trtdream.console import print_json, results, say, table


@app.command()
def classify(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures.")],
    net: NetOption = None,
    weights: WeightsOption = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes to print.")] = 5,
    oversample: Annotated[bool, typer.Option("--oversample", help="Average over ten crops, as Caffe does.")] = False,
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print the classes that a network sees in each picture, with their probabilities."""
    from trtdream.runtime.classify import classify as see
    from trtdream.runtime.classify import load_pictures
    from trtdream.runtime.device import pick_device
    from trtdream.runtime.model import as_document
    from trtdream.runtime.open_model import open_model

    chosen = pick_device(device)
    pictures = load_pictures(images)
    model = open_model(net, weights, offline)
    if model.assumption:
        say(model.assumption)
    seen = see(model, pictures, top, oversample, chosen)
    if as_json:
        found = [
            {"file": str(path), "top": [vars(one) for one in each]} for path, each in zip(images, seen, strict=True)
        ]
        print_json(as_document(model, images=found))
        return
    listed = table("picture", "probability", "class", right=("probability",))
    for path, each in zip(images, seen, strict=True):
        for rank, one in enumerate(each):
            listed.add_row("" if rank else path.name, f"{one.probability:.4f}", one.label)
    results.print(listed)
    results.print(model.line, markup=False)
