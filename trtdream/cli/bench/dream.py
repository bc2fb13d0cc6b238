"""`trtdream bench dream`."""

from __future__ import annotations

from typing import Annotated

import typer

from trtdream.cli.bench import commands
from trtdream.cli.bench.output import FileOption, Files, ReportOption, print_rows, print_seen
from trtdream.cli.options import DeviceOption, ForceOption, NetOption, OfflineOption, WeightsOption
from trtdream.console import results


@commands.command()
def dream(
    net: NetOption = None,
    weights: WeightsOption = None,
    offline: OfflineOption = False,
    layer: Annotated[str, typer.Option("--layer", help="Index or name.")] = "68",
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Of the picture.")] = "540x360",
    octaves: Annotated[int, typer.Option("--octaves")] = 4,
    iterations: Annotated[int, typer.Option("--iterations", help="Steps an octave.")] = 10,
    runs: Annotated[int, typer.Option("--runs", min=2, help="Dreams after warming up.")] = 5,
    precision: Annotated[str, typer.Option("--precision", help="Of gradients: auto, float32, bf16 or fp16.")] = "auto",
    device: DeviceOption = "auto",
    file: FileOption = None,
    report: ReportOption = None,
    force: ForceOption = False,
) -> None:
    """How long a dream takes: a step at each octave's size, and the whole picture."""
    files = Files(file, report, force)
    from trtdream.bench.conditions import Conditions
    from trtdream.bench.dreaming import noise, rows_of_dream, time_dream
    from trtdream.bench.limits import limits_of
    from trtdream.bench.results import Result
    from trtdream.bench.timing import Repeats
    from trtdream.dream.computing import Computing
    from trtdream.recipe.dream_schema import Layer, Settings
    from trtdream.runtime.device import pick_device
    from trtdream.runtime.open_model import open_model

    width, height = _parse_size(size)
    settings = Settings(layers=(Layer(name=layer),), octaves=octaves, iterations=iterations)
    model = open_model(net, weights, offline)
    device = pick_device(device)
    computing, limits = Computing(device, precision), limits_of(device)
    with Conditions(device) as conditions:
        times = time_dream(model, noise((height, width)), settings, computing, Repeats(runs, warm_up=1))
    rows = rows_of_dream(times, (height, width), model, settings, computing, limits)
    print_rows(rows)
    results.print(model.line, markup=False)
    print_seen(conditions.seen)
    asked = {"layer": layer, "size": size, "octaves": octaves, "iterations": iterations}
    where = {"gradients": computing.gradients() or "float32", "device": device}
    files.write(Result("dream", {**model.provenance, **asked, **where}, rows, limits, (), conditions.seen))


def _parse_size(text: str) -> tuple[int, int]:
    from trtdream.errors import UsageError

    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"--size {text}: is not of the form WIDTHxHEIGHT, as in 540x360")
    return int(width), int(height)
