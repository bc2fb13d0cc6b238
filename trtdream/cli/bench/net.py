"""`trtdream bench net`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trtdream.cli.bench import commands
from trtdream.cli.bench.output import FileOption, Files, ReportOption, explain_marks, milliseconds, print_seen
from trtdream.cli.layers import parse_phase, parse_shapes
from trtdream.cli.options import DeviceOption, ForceOption
from trtdream.console import results, say, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trtdream.bench.nettime import LayerTime, NetTime
    from trtdream.bench.results import Row


@commands.command()
def net(
    name: Annotated[str | None, typer.Argument(metavar="NET", help="Zoo name, prototxt or bundle.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Default: the network's own.")] = None,
    iterations: Annotated[int, typer.Option("--iterations", min=2, help="Runs after warming up.")] = 10,
    precision: Annotated[
        str,
        typer.Option(
            "--precision", help="float32, bfloat16, float16; elsewhere than in torch int8, fp8, and tf32 in TensorRT."
        ),
    ] = "float32",
    backend: Annotated[str, typer.Option("--backend", help="torch, onnxruntime or tensorrt.")] = "torch",
    device: DeviceOption = "auto",
    phase: Annotated[
        str | None, typer.Option("--phase", help="TRAIN, as `caffe time`, or TEST. Default: TRAIN in torch.")
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", metavar="BLOB=NxCxHxW", help="Another shape for an input (torch).")
    ] = None,
    layers: Annotated[
        list[str] | None, typer.Option("--layer", metavar="NAME", help="Show only these layers; all are measured.")
    ] = None,
    file: FileOption = None,
    report: ReportOption = None,
    force: ForceOption = False,
) -> None:
    """Layer by layer forward and backward, by Caffe's names, as `caffe time` prints it; weights are random.

    A zoo name means its train_val network in TRAIN, its deploy network in TEST. ONNX Runtime and TensorRT run the
    latter, and tell by their own profilers; layers that they fuse are one row.
    """
    files = Files(file, report, force)
    from trtdream.bench.conditions import Conditions
    from trtdream.bench.limits import limits_of
    from trtdream.bench.netbench import NetRequest, check_layers, sweep, time_net
    from trtdream.bench.results import Result, rows_of
    from trtdream.bench.subject import Setting
    from trtdream.bench.timing import Repeats
    from trtdream.runtime.device import pick_device

    default = "TRAIN" if backend == "torch" else "TEST"
    chosen = pick_device(device)
    setting = Setting(chosen, precision, parse_phase(phase or default), batch, parse_shapes(inputs or []))
    request = NetRequest(name, backend, setting, Repeats(iterations, warm_up=3)).checked()
    check_layers(request, layers or [])
    limits = limits_of(setting.device)
    say(f"measuring {request.net.name}, {iterations} runs layer by layer and as many of the whole alone ...")
    with Conditions(setting.device) as conditions:
        times = time_net(request, limits)
        swept = sweep(request, times.batch) if report else []
    rows = rows_of(times)
    title = f"{request.net.name}, {setting.phase}, batch {times.batch}, {precision}, {backend}, {setting.device}"
    _print(times, rows, layers or [], title)
    if precision not in limits.flops_per_s:
        results.print(f"no ceiling of {precision} arithmetic is known for {setting.device}: shares are those of memory")
    print_seen(conditions.seen, times.doubts)
    settings = {**request.settings(times.batch), **({"note": times.note} if times.note else {})}
    result = Result("net", settings, [*rows, *swept], limits, times.doubts, conditions.seen)
    files.write(result)


def _print(times: NetTime, rows: Sequence[Row], only: Sequence[str], title: str) -> None:
    right = ("forward, ms", "backward, ms", "share", "MACs", "MB", "GFLOP/s", "GB/s", "of the limit")
    shown = table("layer", "kind", *right[:-1], "limit", right[-1], right=right, title=title)
    whole = sum(timing.median_ms for timing in times.wholes.values())
    by_name = {(row.name, row.part): row for row in rows}
    for layer in times.layers:
        if not only or set(only) & {layer.name, *layer.holds}:
            cells = [
                milliseconds(by_name[layer.name, part]) if (layer.name, part) in by_name else ""
                for part in ("forward", "backward")
            ]
            shown.add_row(layer.name, layer.kind, *cells, *_work_cells(layer, whole))
    results.print(shown)
    _print_wholes(times)
    explain_marks(rows)
    if any(each.bound.limit == "memory" and each.bound.share > 1 for each in times.passes):
        results.print("more than 100% of memory's limit: the blob stays within the processor's cache")


def _print_wholes(times: NetTime) -> None:
    for part, timing in times.wholes.items():
        added = times.added_up[part].median_ms
        doubt = " *" if timing.doubts else ""
        results.print(
            f"{part} alone: {timing.median_ms:.4g}{doubt} ms, {timing.median_ms / times.batch:.4g} ms/image;"
            f" the layers add up to {added:.4g} ms ({added / timing.median_ms:.1%})"
        )
    if times.backward is None:
        results.print("backward: none; nothing learns, or the backend only infers")
    else:
        whole = sum(timing.median_ms for timing in times.wholes.values())
        results.print(f"forward-backward: {whole:.4g} ms, {whole / times.batch:.4g} ms/image")
    if times.note:
        results.print(times.note, markup=False)
    if times.peak_bytes is not None:
        results.print(f"memory at its peak: {times.peak_bytes / 2**20:.0f} MiB")


def _work_cells(layer: LayerTime, whole_ms: float) -> list[str]:
    passes = [layer.forward, *([layer.backward] if layer.backward else [])]
    spent = sum(each.timing.median_ms for each in passes)
    flops, moved = sum(each.work.flops for each in passes), sum(each.work.bytes for each in passes)
    rates = (f"{flops / spent / 1e6:.1f}" if flops else "", f"{moved / spent / 1e6:.2f}") if spent else ("", "")
    return [
        f"{spent / whole_ms:.1%}",
        f"{layer.macs:,}" if layer.macs else "",
        f"{moved / 1e6:.2f}",
        *rates,
        " / ".join(dict.fromkeys(each.bound.limit for each in passes)),
        " / ".join(f"{each.bound.share:.0%}" for each in passes),
    ]
