"""`trtdream dream`: let a network dream into a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli import app
from trtdream.cli.options import DeviceOption, ForceOption, JsonOption, NetOption, OfflineOption, WeightsOption
from trtdream.console import print_json, progress, results, say


@app.command()
def dream(
    image: Annotated[Path, typer.Argument(metavar="IN", help="A picture of any size.")],
    layer: Annotated[str, typer.Option("--layer", help="Index (see `trtdream layers`) or name.")] = "68",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Default: IN's name with _dream.png.")] = None,
    octaves: Annotated[int, typer.Option(help="How many sizes, from small to the picture's own.")] = 4,
    octave_scale: Annotated[float, typer.Option(help="How much larger each is than the one before.")] = 1.4,
    iterations: Annotated[int, typer.Option(help="Steps an octave.")] = 10,
    step: Annotated[float, typer.Option(help="How far a step goes.")] = 1.5,
    jitter: Annotated[int, typer.Option(help="The most pixels a step is shifted by.")] = 32,
    seed: Annotated[int, typer.Option(help="Of the jitter.")] = 0,
    net: NetOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change a picture so that a layer of a network answers more strongly to it: the classic DeepDream."""
    from trtdream.dream.dream import Settings, usable_octaves
    from trtdream.dream.dream import dream as run
    from trtdream.dream.provenance import provenance
    from trtdream.files import refuse_overwrite
    from trtdream.runtime.device import pick_device
    from trtdream.runtime.image import check_writable, load_image, save_image
    from trtdream.runtime.model import as_document
    from trtdream.runtime.open_model import open_model

    settings = Settings(layer, octaves, octave_scale, iterations, step, jitter, seed)
    path = out or Path(f"{image.stem}_dream.png")
    check_writable(path)
    refuse_overwrite(path, force)
    picture = load_image(image)
    model = open_model(net, weights, offline)
    index, value = model.resolve(layer)
    sizes = usable_octaves(model, picture, settings)
    place = f"layer {index:04d}" if index is not None else "layer"
    say(f"{place} {value} of {model.net.name}, {len(sizes)} octaves to {picture.shape[1]} x {picture.shape[0]}")
    if len(sizes) < octaves:
        say(f"{octaves - len(sizes)} of {octaves} octaves would be too small for the network and are left out")
    with progress() as bar:
        task = bar.add_task("dreaming", total=len(sizes) * iterations)
        done = run(model, picture, settings, pick_device(device), lambda: bar.advance(task))
    save_image(path, done.picture, provenance(model, image, settings))
    if as_json:
        objectives = [vars(octave) for octave in done.octaves]
        print_json(as_document(model, picture=str(path), layer=value, index=index, octaves=objectives))
        return
    results.print(str(path), markup=False)
    results.print(model.line, markup=False)
