"""`trtdream dream`: let a network dream into a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trtdream.cli import app
from trtdream.cli.options import DeviceOption, ForceOption, JsonOption, NetOption, OfflineOption, WeightsOption
from trtdream.console import print_json, progress, results, say

if TYPE_CHECKING:
    from trtdream.dream.watch import Dream
    from trtdream.recipe.dream_schema import Settings
    from trtdream.runtime.model import Model

_WHAT, _HOW, _TO_SEE = "What grows", "How", "To look at"


@app.command()
def dream(
    image: Annotated[Path, typer.Argument(metavar="IN", help="A picture of any size.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Any key of a dream recipe, as in octaves=3.")
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            metavar="LAYER[:WEIGHT]",
            help="Index (`trtdream layers`) or name; default 68.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    channels: Annotated[
        list[int] | None,
        typer.Option("--channel", help="Only this channel of the layers; may be given again.", rich_help_panel=_WHAT),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="X,Y", help="Only there: one neuron, 0.5,0.5 the middle.", rich_help_panel=_WHAT),
    ] = None,
    guide: Annotated[
        Path | None, typer.Option("--guide", help="A picture for the layers to resemble.", rich_help_panel=_WHAT)
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Default: IN's name with _dream.png.")] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--preset",
            "--recipe",
            metavar="NAME|FILE",
            help="A dream recipe: classic, painterly, detail, subtle, or a YAML file.",
        ),
    ] = None,
    octaves: Annotated[
        int | None,
        typer.Option(help="How many sizes, from small to the picture's own. [default: 4]", rich_help_panel=_HOW),
    ] = None,
    octave_scale: Annotated[
        float | None,
        typer.Option(help="How much larger each is than the one before. [default: 1.4]", rich_help_panel=_HOW),
    ] = None,
    iterations: Annotated[int | None, typer.Option(help="Steps an octave. [default: 10]", rich_help_panel=_HOW)] = None,
    step: Annotated[
        float | None, typer.Option(help="How far a step goes. [default: 1.5]", rich_help_panel=_HOW)
    ] = None,
    jitter: Annotated[
        int | None, typer.Option(help="The most pixels a step is shifted by. [default: 32]", rich_help_panel=_HOW)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the jitter. [default: 0]", rich_help_panel=_HOW)] = None,
    precision: Annotated[
        str, typer.Option(help="Of the network: auto, float32, bf16, fp16.", rich_help_panel=_HOW)
    ] = "auto",
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
    from trtdream.dream.computing import Computing
    from trtdream.dream.dreamer import Dreamer
    from trtdream.dream.provenance import provenance
    from trtdream.dream.watch import Watch
    from trtdream.files import refuse_overwrite
    from trtdream.recipe.dreams import find_dream, load_dream
    from trtdream.runtime.device import pick_device
    from trtdream.runtime.image import check_writable, load_image, save_image
    from trtdream.runtime.open_model import open_model

    options = {
        "layers": _layers(layers, channels, at),
        "guide": guide,
        "octaves": octaves,
        "octave_scale": octave_scale,
        "iterations": iterations,
        "step": step,
        "jitter": jitter,
        "seed": seed,
    }
    given = {key: value for key, value in options.items() if value is not None}
    settings = load_dream(find_dream(recipe) if recipe else None, given, overrides or ())
    computing = Computing(pick_device(device), precision)
    path = out or Path(f"{image.stem}_dream.png")
    check_writable(path)
    refuse_overwrite(path, force)
    picture = load_image(image)
    model = open_model(net, weights, offline)
    if model.assumption:
        say(model.assumption)
    dreamer = Dreamer(model, settings, computing)
    sizes = dreamer.sizes((picture.shape[0], picture.shape[1]))
    _announce(model, settings, len(sizes), f"{picture.shape[1]} x {picture.shape[0]}")
    with progress() as bar:
        task = bar.add_task("dreaming", total=len(sizes) * settings.iterations)
        done = dreamer.dream(picture, Watch(on_step=lambda _: bar.advance(task), on_note=say))
    save_image(path, done.picture, provenance(model, image, settings))
    _report(model, settings, path, done, as_json)


def _layers(layers: list[str] | None, channels: list[int] | None, at: str | None) -> list[dict[str, Any]] | None:
    """The recipe's `layers` as options say them: the channels and the place belong to each of them."""
    from trtdream.recipe.dream_schema import weighted

    if not layers and not channels and not at:
        return None
    of_each: dict[str, Any] = {"channels": channels} if channels else {}
    if at:
        of_each["at"] = at.split(",")
    named = (weighted(text) for text in layers or ["68"])
    return [{"name": name, "weight": weight, **of_each} for name, weight in named]


def _report(model: Model, settings: Settings, path: Path, done: Dream, as_json: bool) -> None:
    from trtdream.runtime.model import as_document

    if as_json:
        reached = [vars(octave) for octave in done.octaves]
        print_json(as_document(model, picture=str(path), layers=_resolved(model, settings), octaves=reached))
    else:
        results.print(str(path), markup=False)
        results.print(model.line, markup=False)
    if done.stopped:
        say(f"stopped: {done.stopped}")
        raise typer.Exit(1)
    if done.interrupted:
        say(f"interrupted: {path} is what had been dreamt so far")
        raise typer.Exit(130)


def _resolved(model: Model, settings: Settings) -> list[dict[str, Any]]:
    """Each layer's index in the blob list, the value it means, and its weight."""
    found = ((*model.resolve(layer.name), layer.weight) for layer in settings.targets)
    return [{"index": index, "value": value, "weight": weight} for index, value, weight in found]


def _announce(model: Model, settings: Settings, octaves: int, size: str) -> None:
    for layer in _resolved(model, settings):
        index = f"{layer['index']:04d} " if layer["index"] is not None else ""
        value, _, writer = layer["value"].partition("@")
        shown = f"{value} as {writer} leaves it, before what follows in place" if writer else value
        weight = f", weight {layer['weight']:g}" if layer["weight"] != 1 else ""
        say(f"layer {index}{shown} of {model.net.name}{weight}")
    say(f"{octaves} octaves to {size}")
    wanted = len(settings.sizes) or settings.octaves
    if octaves < wanted:
        say(f"{wanted - octaves} of {wanted} octaves would be too small and are left out")
