"""`trtdream bench`: how long things take on this machine, and which of its limits they come near to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trtdream.cli import app
from trtdream.cli.layers import parse_phase, parse_shapes
from trtdream.cli.options import DeviceOption, ForceOption, NetOption, OfflineOption, WeightsOption
from trtdream.console import results, say, table

if TYPE_CHECKING:
    from trtdream.bench.layers import LayerTime, NetTime, Pass
    from trtdream.bench.results import Row
    from trtdream.bench.timing import Timing

MARK = " *"
commands = typer.Typer(help="Measure: forward and backward, layer by layer, dreams, against this machine's limits.")
app.add_typer(commands, name="bench")

FileOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the results there, for `bench compare`.")
]
PrecisionOption = Annotated[str, typer.Option("--precision", help="float32, bfloat16 or float16.")]


@commands.callback(invoke_without_command=True)
def headline(
    context: typer.Context,
    device: DeviceOption = "auto",
    file: FileOption = None,
    force: ForceOption = False,
) -> None:
    """What this machine does, beside published figures: a table in under two minutes."""
    if context.invoked_subcommand is not None:
        return
    _check_file(file, force)
    from trtdream.bench.headline import beside, headline
    from trtdream.bench.subject import Setting
    from trtdream.runtime.device import pick_device

    device = pick_device(device)
    limits = _limits(device)
    rows = list(headline(Setting(device=device), lambda part: say(f"measuring {part} ...")))
    right = ("batch", "ms", "ms/image")
    shown = table("what", "part", *right, "published, ms/image", "ratio", right=right)
    for row in rows:
        if row.timing is None:
            shown.add_row(row.name, row.part, "", "-", "", "", f"not measured: {row.absent}")
            continue
        size, each = str(row.extra.get("images", row.extra.get("size"))), row.extra.get("ms_per_image")
        cells = [row.name, row.part, size, _ms(row.timing), f"{each:.4g}" if each else ""]
        published = beside(row)
        for index, figure in enumerate(published):
            ratio = "not comparable (another batch)" if figure.ratio is None else f"{figure.ratio:.3g}"
            shown.add_row(*(cells if index == 0 else [""] * 5), figure.text, ratio)
        if not published:
            shown.add_row(*cells)
    results.print(shown)
    _explain_marks([row.timing for row in rows if row.timing])
    for source in dict.fromkeys(figure.source for row in rows for figure in beside(row)):
        results.print(f"published: {source}", markup=False)
    _write(file, "headline", {"device": device, "precision": "float32"}, rows, limits)


@commands.command()
def net(
    name: Annotated[str | None, typer.Argument(metavar="NET", help="Zoo name, prototxt or bundle.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Default: the network's own.")] = None,
    iterations: Annotated[int, typer.Option("--iterations", min=2, help="Runs after warming up.")] = 10,
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
    phase: Annotated[str, typer.Option("--phase", help="TRAIN, as `caffe time`, or TEST.")] = "TRAIN",
    inputs: Annotated[
        list[str] | None, typer.Option("--input", metavar="BLOB=NxCxHxW", help="Another shape for an input.")
    ] = None,
    file: FileOption = None,
    force: ForceOption = False,
) -> None:
    """Layer by layer forward and backward, by Caffe's names, as `caffe time` prints it; weights are random.

    A zoo name means its train_val network in TRAIN, its deploy network in TEST.
    """
    _check_file(file, force)
    from trtdream.bench.layers import time_layers
    from trtdream.bench.precision import dtype_of
    from trtdream.bench.results import rows_of
    from trtdream.bench.subject import Setting, Subject, halving, input_shapes, net_for
    from trtdream.bench.timing import Repeats
    from trtdream.net.graph import connect
    from trtdream.runtime.device import pick_device

    chosen = parse_phase(phase)
    dtype_of(precision)
    setting = Setting(pick_device(device), precision, chosen, batch, parse_shapes(inputs or []))
    described = net_for(name, chosen)
    shapes = input_shapes(connect(described.for_phase(chosen)), setting)
    limits = _limits(setting.device)

    def run(size: int) -> NetTime:
        sized = Setting(setting.device, precision, chosen, size, setting.inputs)
        return time_layers(Subject(described, sized), Repeats(iterations, warm_up=3), limits)

    say(f"measuring {described.name}, {iterations} runs and as many of the whole alone ...")
    times = halving(next(iter(shapes.values()))[0], run)
    _print_net(times, f"{described.name}, {chosen}, batch {times.batch}, {precision}, {setting.device}")
    settings = {"network": described.name, "phase": chosen, "batch": times.batch}
    _write(file, "net", {**settings, "precision": precision, "device": setting.device}, rows_of(times), limits)


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
    device: DeviceOption = "auto",
    file: FileOption = None,
    force: ForceOption = False,
) -> None:
    """How long a dream takes: a step at each octave's size, and the whole picture."""
    _check_file(file, force)
    from trtdream.bench.dreaming import noise, time_dream
    from trtdream.bench.results import Row
    from trtdream.bench.timing import Repeats
    from trtdream.dream.computing import Computing
    from trtdream.recipe.dream_schema import Layer, Settings
    from trtdream.runtime.device import pick_device
    from trtdream.runtime.open_model import open_model

    width, height = _parse_size(size)
    settings = Settings(layers=(Layer(name=layer),), octaves=octaves, iterations=iterations)
    model = open_model(net, weights, offline)
    device = pick_device(device)
    times = time_dream(model, noise((height, width)), settings, Computing(device), Repeats(runs, warm_up=1))
    rows = [Row(f"{w} x {h}", "step", timing) for (h, w), timing in times.steps]
    rows.append(Row(f"{width} x {height}", "dream", times.whole))
    shown = table("size", "part", "ms", right=("ms",))
    for row in rows:
        if row.timing is not None:
            shown.add_row(row.name, row.part, _ms(row.timing))
    results.print(shown)
    results.print(model.line, markup=False)
    _explain_marks([row.timing for row in rows if row.timing])
    asked = {"layer": layer, "size": size, "octaves": octaves, "iterations": iterations, "device": device}
    _write(file, "dream", {**model.provenance, **asked}, rows, None)


@commands.command()
def limits(
    device: DeviceOption = "auto",
    again: Annotated[bool, typer.Option("--again", help="Measure anew, whatever is cached.")] = False,
) -> None:
    """This machine's own ceilings, which other results are held against; measured once and cached."""
    from trtdream.runtime.device import pick_device

    found = _limits(pick_device(device), again)
    shown = table("limit", "reached", right=("reached",))
    shown.add_row("copy, read and written", f"{found.bytes_per_s / 1e9:.4g} GB/s")
    for precision, rate in found.flops_per_s.items():
        shown.add_row(f"matrix product, {precision}", f"{rate / 1e9:.4g} GFLOP/s")
    shown.add_row("smallest call", f"{found.call_ms * 1e3:.3g} us")
    results.print(shown)
    results.print(f"measured {found.measured}; --again measures anew")


@commands.command()
def compare(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="Written by --json.")],
    after: Annotated[Path, typer.Argument(metavar="B.json", help="Written by --json.")],
) -> None:
    """Two results side by side: ratios, and which changes are more than noise."""
    from trtdream.bench.compare import compare
    from trtdream.bench.results import read_results

    found = compare(read_results(before), read_results(after))
    columns = ("what", "part", "A, ms", "B, ms", "B / A", "")
    shown = table(*columns, right=columns[2:5])
    for change in found.changes:
        verdict = ("faster" if change.ratio < 1 else "slower") if change.beyond_noise else "within noise"
        times = (f"{change.before_ms:.4g}", f"{change.after_ms:.4g}", f"{change.ratio:.3f}")
        shown.add_row(change.name, change.part, *times, verdict)
    results.print(shown)
    for file, names in ((before, found.only_before), (after, found.only_after)):
        if names:
            results.print(f"only in {file.name}: {', '.join(names)}", markup=False)
    for difference in found.differences:
        results.print(f"differs: {difference}", markup=False)


def _print_net(times: NetTime, title: str) -> None:
    right = ("forward, ms", "backward, ms", "share", "MACs", "MB", "GFLOP/s", "GB/s", "of the limit")
    shown = table("layer", "kind", *right[:-1], "limit", right[-1], right=right, title=title)
    whole = times.forward.median_ms + (times.backward.median_ms if times.backward else 0.0)
    for layer in times.layers:
        shown.add_row(*_layer_cells(layer, whole))
    results.print(shown)
    for part, timing in (("forward", times.forward), ("backward", times.backward)):
        if timing is None:
            results.print(f"{part}: none, nothing in the network learns")
            continue
        layers = times.added_up[part].median_ms
        results.print(
            f"{part} alone: {_ms(timing)} ms, {timing.median_ms / times.batch:.4g} ms/image;"
            f" the layers add up to {layers:.4g} ms ({layers / timing.median_ms:.1%})"
        )
    results.print(f"forward-backward: {whole:.4g} ms, {whole / times.batch:.4g} ms/image")
    if times.peak_bytes is not None:
        results.print(f"memory at its peak: {times.peak_bytes / 2**20:.0f} MiB")
    for doubt in times.doubts:
        results.print(f"doubtful: {doubt}")
    passes = [each for layer in times.layers for each in (layer.forward, layer.backward) if each is not None]
    _explain_marks([each.timing for each in passes])
    if any(each.bound.limit == "memory" and each.bound.share > 1 for each in passes):
        results.print("more than 100% of memory's limit: the blob stays within the processor's cache")


def _layer_cells(layer: LayerTime, whole_ms: float) -> list[str]:
    passes: list[Pass] = [layer.forward, *([layer.backward] if layer.backward else [])]
    spent = sum(each.timing.median_ms for each in passes)
    flops, moved = sum(each.work.flops for each in passes), sum(each.work.bytes for each in passes)
    rates = (f"{flops / spent / 1e6:.1f}" if flops else "", f"{moved / spent / 1e6:.2f}") if spent else ("", "")
    return [
        layer.name,
        layer.kind,
        _ms(layer.forward.timing),
        _ms(layer.backward.timing) if layer.backward else "",
        f"{spent / whole_ms:.1%}",
        f"{layer.macs:,}" if layer.macs else "",
        f"{moved / 1e6:.2f}",
        *rates,
        " / ".join(dict.fromkeys(each.bound.limit for each in passes)),
        " / ".join(f"{each.bound.share:.0%}" for each in passes),
    ]


def _ms(timing: Timing) -> str:
    return f"{timing.median_ms:.4g}{MARK if timing.doubts else ''}"


def _explain_marks(timings: list[Timing]) -> None:
    doubtful = [timing for timing in timings if timing.doubts]
    if doubtful:
        widest = max(timing.spread for timing in doubtful)
        results.print(
            f"* not to be trusted, {len(doubtful)} of {len(timings)}: the quartiles lie more than 2.5 % apart (up to"
            f" {widest:.0%}), or the warm-up did not settle"
        )


def _limits(device: str, again: bool = False) -> Any:
    from trtdream.bench.limits import limits_of

    return limits_of(device, again)


def _parse_size(text: str) -> tuple[int, int]:
    from trtdream.errors import UsageError

    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"--size {text}: is not of the form WIDTHxHEIGHT, as in 540x360")
    return int(width), int(height)


def _check_file(file: Path | None, force: bool) -> None:
    from trtdream.files import refuse_overwrite

    if file is not None:
        refuse_overwrite(file, force)


def _write(file: Path | None, what: str, settings: dict[str, Any], rows: list[Row], limits: Any) -> None:
    from trtdream.bench.results import document, write_results

    if file is not None:
        write_results(file, document(what, settings, rows, limits))
        say(f"{file}")
