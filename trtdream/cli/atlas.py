"""`trtdream atlas`: a contact sheet of a network's layers, or of a layer's channels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli import app
from trtdream.cli.opening import open_and_say
from trtdream.cli.options import DeviceOption, ForceOption, JsonOption, NetOption, OfflineOption, WeightsOption
from trtdream.console import print_json, progress, results, say


@app.command()
def atlas(
    layer: Annotated[
        str | None, typer.Option("--layer", help="Every channel of this layer; default: every layer, as a whole.")
    ] = None,
    channels: Annotated[
        str | None, typer.Option("--channel", metavar="0-31,40", help="Only these channels of the layer.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="NAME for NAME.png and NAME.html. Default: the network's.")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of each picture in pixels.")] = 128,
    steps: Annotated[int, typer.Option(help="How many steps each picture climbs.")] = 128,
    seed: Annotated[int, typer.Option(help="Of the noise, and of the views.")] = 0,
    net: NetOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a contact sheet of what a network's layers, or a layer's channels, answer to: a PNG and a page.

    Ctrl-C keeps the pictures that are done.
    """
    from trtdream.dream.atlas import every_channel, every_layer, make_atlas, write_atlas
    from trtdream.dream.plates import record
    from trtdream.dream.visualize import Climb
    from trtdream.errors import TrtdreamError, UsageError
    from trtdream.files import refuse_overwrite
    from trtdream.recipe.dreams import parse_channels
    from trtdream.runtime.device import pick_device
    from trtdream.runtime.model import as_document

    if channels and not layer:
        raise UsageError("--channel: say with --layer which layer's")
    climb = Climb(size, steps, seed=seed)
    chosen = parse_channels(channels) if channels else ()
    where = pick_device(device)
    model = open_and_say(net, weights, offline)
    name = out or Path(f"{model.net.name}_{layer.replace('/', '_') if layer else 'layers'}_atlas")
    stem = name.with_suffix("") if name.suffix in (".png", ".html") else name
    sheet, page = (stem.with_name(f"{stem.name}{suffix}") for suffix in (".png", ".html"))
    refuse_overwrite(sheet, force)
    refuse_overwrite(page, force)
    wanted = every_channel(model, layer, chosen) if layer else every_layer(model)
    say(f"{len(wanted)} pictures of {model.net.name}")
    with progress() as bar:
        task = bar.add_task("climbing", total=len(wanted) * steps)
        made = make_atlas(model, wanted, climb, where, lambda count: bar.advance(task, count))
    for failed, reason in made.failed:
        say(f"{failed} is left out: {reason}")
    if made.plates:
        title = f"{model.net.name}: {f'the channels of {layer}' if layer else 'every layer'}"
        write_atlas(sheet, page, title, made, record(model, net, climb))
    elif not made.interrupted:
        raise TrtdreamError("not one picture could be made")
    if as_json:
        plates = [{"title": plate.title, "response": plate.response} for plate in made.plates]
        print_json(as_document(model, sheet=str(sheet), page=str(page), plates=plates, failed=made.failed))
    elif made.plates:
        results.print(f"{sheet}\n{page}\n{model.line}", markup=False)
    if made.interrupted:
        say(f"interrupted: {len(made.plates)} of {len(wanted)} pictures are done and kept")
        raise typer.Exit(130)
