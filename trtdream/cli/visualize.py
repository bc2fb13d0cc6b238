"""`trtdream visualize`: what a layer, a channel or a neuron answers to, from noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trtdream.cli import app
from trtdream.cli.opening import open_and_say
from trtdream.cli.options import DeviceOption, ForceOption, JsonOption, NetOption, OfflineOption, WeightsOption
from trtdream.console import print_json, progress, results, say

if TYPE_CHECKING:
    from trtdream.dream.units import Place, Unit
    from trtdream.dream.visualize import Climb
    from trtdream.runtime.model import Model


@app.command()
def visualize(
    layer: Annotated[str, typer.Option("--layer", help="Index (`trtdream layers`) or name.")] = "68",
    channels: Annotated[
        str | None,
        typer.Option("--channel", metavar="C", help="A channel of it, or several: 3,7,20-31. Default: all as one."),
    ] = None,
    neuron: Annotated[
        str | None, typer.Option("--neuron", metavar="X,Y", help="Of a channel one neuron: 0.5,0.5 is the middle one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A picture; of several channels one sheet. Default: by layer.")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the picture in pixels.")] = 160,
    steps: Annotated[int, typer.Option(help="How many steps to climb.")] = 200,
    rate: Annotated[float, typer.Option(help="Adam's learning rate.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Of the noise, and of the views.")] = 0,
    net: NetOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the picture that a layer, a channel or a neuron answers to most strongly, starting from noise.

    Ctrl-C keeps the picture as it is then.
    """
    from trtdream.dream.plates import picture_name
    from trtdream.dream.units import Unit
    from trtdream.dream.visualize import Climb
    from trtdream.files import refuse_overwrite
    from trtdream.recipe.dreams import parse_channels
    from trtdream.runtime.device import pick_device
    from trtdream.runtime.image import check_writable

    climb = Climb(size, steps, rate, seed=seed)
    chosen = parse_channels(channels) if channels else [None]
    where = pick_device(device)
    if out:
        check_writable(out)
        refuse_overwrite(out, force)
    model = open_and_say(net, weights, offline)
    index, value = model.resolve(layer)
    units = [Unit(value, channel, parse_place(neuron)) for channel in chosen]
    path = out or picture_name(model, units)
    refuse_overwrite(path, force)
    say(f"layer {value if index is None else f'{index:04d} {value}'} of {model.net.name}")
    climb_and_write(model, units, climb, where, path, net, as_json)


def climb_and_write(
    model: Model, units: Sequence[Unit], climb: Climb, device: str, path: Path, net: str | None, as_json: bool
) -> None:
    """Visualise, write and report; exits 130 if it was interrupted."""
    from trtdream.dream.plates import record, save_visualised
    from trtdream.dream.visualize import visualize as run
    from trtdream.runtime.model import as_document

    with progress() as bar:
        task = bar.add_task("climbing", total=climb.steps)
        made = run(model, units, climb, device, lambda: bar.advance(task))
    save_visualised(path, made, units, record(model, net, climb, units))
    if as_json:
        channels = [unit.channel for unit in units]
        reached = {"channels": channels, "first": made.first, "last": made.last}
        print_json(as_document(model, picture=str(path), value=units[0].value, **reached))
    else:
        results.print(str(path), markup=False)
        results.print(model.line, markup=False)
    if made.interrupted:
        say(f"interrupted: {path} is as far as it got")
        raise typer.Exit(130)


def parse_place(text: str | None) -> Place | None:
    """`0.5,0.25`: fractions of the way across and down.

    Raises:
        UsageError: something else.
    """
    from trtdream.errors import UsageError

    if text is None:
        return None
    try:
        across, down = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(f"--neuron {text}: is not of the form X,Y, as in 0.5,0.5 for the middle") from error
    return across, down
