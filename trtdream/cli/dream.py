"""`trtdream dream`: let a network dream into a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from trtdream.cli import app
from trtdream.cli import dream_options as of
from trtdream.cli.dream_again import NetAsked, dream_again
from trtdream.cli.dream_picture import Files, dream_picture
from trtdream.cli.dream_series import dream_series
from trtdream.cli.opening import open_and_say
from trtdream.cli.options import DeviceOption, ForceOption, JsonOption, NetOption, OfflineOption, WeightsOption


@app.command()
def dream(
    image: Annotated[
        Path, typer.Argument(metavar="IN", help="A picture of any size, a folder of them, a video or GIF.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Any key of a dream recipe, as in octaves=3.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A picture, a folder or a film. Default: IN's name.")
    ] = None,
    preset: of.PresetOption = None,
    layers: of.LayersOption = None,
    channels: of.ChannelsOption = None,
    at: of.AtOption = None,
    direction: of.DirectionOption = None,
    classes: of.ClassesOption = None,
    guide: of.GuideOption = None,
    mask: of.MaskOption = None,
    feather: of.FeatherOption = None,
    octaves: of.OctavesOption = None,
    octave_scale: of.OctaveScaleOption = None,
    octave_sizes: of.OctaveSizesOption = None,
    iterations: of.IterationsOption = None,
    step: of.StepOption = None,
    strength: of.StrengthOption = None,
    jitter: of.JitterOption = None,
    seed: of.SeedOption = None,
    ascent: of.AscentOption = None,
    momentum: of.MomentumOption = None,
    normalise: of.NormaliseOption = None,
    tv: of.TvOption = None,
    l2: of.L2Option = None,
    keep_colours: of.KeepColoursOption = False,
    classic: of.ClassicOption = False,
    precision: of.PrecisionOption = "auto",
    tile: of.TileOption = 0,
    memory: of.MemoryOption = None,
    zoom: of.ZoomOption = None,
    rotate: of.RotateOption = None,
    frames: of.FramesOption = None,
    fps: of.FpsOption = None,
    blend: of.BlendOption = None,
    flow: of.FlowOption = False,
    batch: of.BatchOption = 1,
    preview: of.PreviewOption = None,
    save_octaves: of.SaveOctavesOption = None,
    classify: of.ClassifyOption = False,
    explain: of.ExplainOption = None,
    making: of.MakingOption = None,
    keep_record: of.RecordOption = False,
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
    from trtdream.dream.computing import Computing, parse_memory
    from trtdream.dream.dreamer import Dreamer
    from trtdream.dream.film.asked import asked_for
    from trtdream.dream.film.job import plan
    from trtdream.errors import UsageError
    from trtdream.recipe.dreams import find_dream, load_dream
    from trtdream.runtime.device import pick_device

    files = Files(image, out, force, keep_record, making, preview, save_octaves, explain, classify)
    if again:
        dream_again(files, size, NetAsked(net, weights, offline), pick_device(device), as_json)
        return
    if size:
        raise UsageError("--size: goes with --again; sizes=WxH sets an octave's own")
    options = {
        "layers": _layers(layers, channels, at, direction),
        "classes": classes,
        "guide": guide,
        "mask": mask,
        "feather": feather,
        "octaves": octaves,
        "octave_scale": octave_scale,
        "sizes": octave_sizes,
        "iterations": iterations,
        "step": step,
        "strength": strength and strength.split(","),
        "jitter": jitter,
        "seed": seed,
        "ascent": ascent,
        "momentum": momentum,
        "normalise": normalise,
        "tv": tv,
        "l2": l2,
        "keep_colours": keep_colours or None,
        "classic": classic or None,
    }
    given = {key: value for key, value in options.items() if value is not None}
    settings = load_dream(find_dream(preset) if preset else None, given, overrides or ())
    computing = Computing(pick_device(device), precision, tile, parse_memory(memory) if memory else 0)
    asked = asked_for(image, out, zoom, rotate, frames, fps, blend, flow, batch)
    if not asked.is_series:
        files.check()
    elif files.more:
        raise UsageError(f"{files.more}: of one picture only; a film's frames carry their records")
    else:
        asked.check(force)
    dreamer = Dreamer(open_and_say(net, weights, offline), settings, computing)
    if asked.is_series:
        dream_series(plan(asked, dreamer, net, force), as_json)
    else:
        dream_picture(dreamer, files, net, as_json)


def _layers(
    layers: list[str] | None, channels: list[str] | None, at: str | None, direction: Path | None
) -> list[dict[str, Any]] | None:
    """The recipe's `layers` as options say them: channels, place and direction belong to each of them."""
    from trtdream.recipe.dream_schema import weighted
    from trtdream.recipe.dreams import parse_channels, read_direction

    if not layers and not channels and not at and not direction:
        return None
    of_each: dict[str, Any] = {}
    if channels:
        of_each["channels"] = [number for text in channels for number in parse_channels(text)]
    if at:
        of_each["at"] = at.split(",")
    if direction:
        of_each["direction"] = read_direction(direction)
    named = (weighted(text) for text in layers or ["68"])
    return [{"name": name, "weight": weight, **of_each} for name, weight in named]
