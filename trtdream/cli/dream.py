"""`trtdream dream`: let a network dream into a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from trtdream.cli import app
from trtdream.cli.dream_again import dream_again
from trtdream.cli.dream_picture import Files, NetAsked, dream_picture, open_net_asked
from trtdream.cli.dream_series import dream_series
from trtdream.cli.options import DeviceOption, ForceOption, JsonOption, NetOption, OfflineOption, WeightsOption

_WHAT, _HOW, _TO_SEE, _MOVING = "What grows", "How", "To look at", "What moves"


@app.command()
def dream(
    image: Annotated[Path, typer.Argument(metavar="IN", help="A picture of any size, a folder of them, or a video.")],
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
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A picture, a folder or a film. Default: IN's name.")
    ] = None,
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
    zoom: Annotated[
        float | None, typer.Option(help="Move into the dream by this share a frame: 0.05.", rich_help_panel=_MOVING)
    ] = None,
    rotate: Annotated[
        float | None, typer.Option(help="Turn it by this many degrees a frame.", rich_help_panel=_MOVING)
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="How many frames to move. [default: 100]", rich_help_panel=_MOVING)
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames a second of the film. [default: the video's, or 12]", rich_help_panel=_MOVING),
    ] = None,
    blend: Annotated[
        float | None,
        typer.Option(help="Share of the dream before in each next frame. [default: 0]", rich_help_panel=_MOVING),
    ] = None,
    flow: Annotated[
        bool, typer.Option("--flow", help="Blend along what moves (0.5 by default).", rich_help_panel=_MOVING)
    ] = False,
    making: Annotated[
        Path | None,
        typer.Option("--gif-of-the-making", metavar="FILE", help="A film of the steps.", rich_help_panel=_TO_SEE),
    ] = None,
    keep_record: Annotated[
        bool, typer.Option("--record", help="Write what made it as JSON beside it too.", rich_help_panel=_TO_SEE)
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="IN is a dream: make it again as it says it was made.")
    ] = False,
    size: Annotated[
        int | None, typer.Option("--size", min=8, help="With --again: its longer side now, in pixels.")
    ] = None,
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
    from trtdream.dream.asked import asked_for
    from trtdream.dream.computing import Computing
    from trtdream.dream.dreamer import Dreamer
    from trtdream.dream.job import plan
    from trtdream.errors import UsageError
    from trtdream.recipe.dreams import find_dream, load_dream
    from trtdream.runtime.device import pick_device

    files = Files(image, out, making, keep_record, force)
    if again:
        dream_again(files, size, NetAsked(net, weights, offline), pick_device(device), as_json)
        return
    if size:
        raise UsageError("--size: goes with --again; sizes=WxH sets an octave's own")
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
    asked = asked_for(image, out, zoom, rotate, frames, fps, blend, flow)
    if not asked.is_series:
        files.check()
    elif making or keep_record:
        raise UsageError("--gif-of-the-making and --record: are of one picture; a film's frames carry their records")
    else:
        asked.check(force)
    dreamer = Dreamer(open_net_asked(NetAsked(net, weights, offline)), settings, computing)
    if asked.is_series:
        dream_series(plan(asked, dreamer, net, force), as_json)
    else:
        dream_picture(dreamer, files, net, as_json)


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
