"""`trtdream dream`: let a network dream into a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trtdream.cli import app
from trtdream.cli.options import DeviceOption, ForceOption, JsonOption, NetOption, OfflineOption, WeightsOption
from trtdream.console import print_json, progress, results, say

if TYPE_CHECKING:
    from trtdream.dream.dream import Layer, Settings
    from trtdream.runtime.model import Model


@app.command()
def dream(
    image: Annotated[Path, typer.Argument(metavar="IN", help="A picture of any size.")],
    layers: Annotated[
        list[str] | None,
        typer.Option("--layer", metavar="LAYER[:WEIGHT]", help="Index (`trtdream layers`) or name; default 68."),
    ] = None,
    channels: Annotated[
        list[int] | None, typer.Option("--channel", help="Only this channel of the layers; may be given again.")
    ] = None,
    guide: Annotated[Path | None, typer.Option("--guide", help="A picture for the layers to resemble.")] = None,
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
    """Change a picture so that layers of a network answer more strongly to it: the classic DeepDream.

    Ctrl-C keeps what has been dreamt so far.
    """
    from trtdream.dream.dream import Settings, usable_octaves
    from trtdream.dream.dream import dream as run
    from trtdream.dream.provenance import provenance
    from trtdream.errors import UsageError
    from trtdream.files import refuse_overwrite
    from trtdream.runtime.device import pick_device
    from trtdream.runtime.image import check_writable, load_image, save_image
    from trtdream.runtime.model import as_document
    from trtdream.runtime.open_model import open_model

    chosen = tuple(parse_layer(text) for text in layers or ["68"])
    settings = Settings(chosen, tuple(channels or ()), octaves, octave_scale, iterations, step, jitter, seed)
    where = pick_device(device)
    path = out or Path(f"{image.stem}_dream.png")
    check_writable(path)
    refuse_overwrite(path, force)
    picture = load_image(image)
    if guide and channels:
        raise UsageError("--guide takes all channels: leave out --channel")
    guiding = load_image(guide) if guide else None
    model = open_model(net, weights, offline)
    if model.assumption:
        say(model.assumption)
    sizes = usable_octaves(model, picture, settings)
    _announce(model, settings, len(sizes), f"{picture.shape[1]} x {picture.shape[0]}")
    with progress() as bar:
        task = bar.add_task("dreaming", total=len(sizes) * iterations)
        done = run(model, picture, settings, where, guiding, lambda: bar.advance(task))
    save_image(path, done.picture, provenance(model, image, settings))
    if as_json:
        reached = [vars(octave) for octave in done.octaves]
        print_json(as_document(model, picture=str(path), layers=_resolved(model, settings), octaves=reached))
    else:
        results.print(str(path), markup=False)
        results.print(model.line, markup=False)
    if done.interrupted:
        say(f"interrupted: {path} is what had been dreamt so far")
        raise typer.Exit(130)


def parse_layer(text: str) -> Layer:
    """`68`, `inception_3b/output:0.5`: a layer and how much it counts; a ":" without a number belongs to the name."""
    from trtdream.dream.dream import Layer

    name, _, weight = text.rpartition(":")
    try:
        return Layer(name, float(weight)) if name else Layer(text)
    except ValueError:
        return Layer(text)


def _resolved(model: Model, settings: Settings) -> list[dict[str, Any]]:
    """Each layer's index in the blob list, the value it means, and its weight."""
    found = ((*model.resolve(layer.name), layer.weight) for layer in settings.layers)
    return [{"index": index, "value": value, "weight": weight} for index, value, weight in found]


def _announce(model: Model, settings: Settings, octaves: int, size: str) -> None:
    for layer in _resolved(model, settings):
        index = f"{layer['index']:04d} " if layer["index"] is not None else ""
        value, _, writer = layer["value"].partition("@")
        shown = f"{value} as {writer} leaves it, before what follows in place" if writer else value
        weight = f", weight {layer['weight']:g}" if layer["weight"] != 1 else ""
        say(f"layer {index}{shown} of {model.net.name}{weight}")
    say(f"{octaves} octaves to {size}")
    if octaves < settings.octaves:
        say(f"{settings.octaves - octaves} of {settings.octaves} octaves would be too small and are left out")
