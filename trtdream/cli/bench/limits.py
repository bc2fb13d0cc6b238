"""`trtdream bench limits`."""

from __future__ import annotations

from typing import Annotated

import typer

from trtdream.cli.bench import commands
from trtdream.cli.options import DeviceOption
from trtdream.console import results, table


@commands.command()
def limits(
    device: DeviceOption = "auto",
    again: Annotated[bool, typer.Option("--again", help="Measure anew, whatever is cached.")] = False,
) -> None:
    """This machine's own ceilings, which other results are held against; measured once and cached."""
    from trtdream.bench.limits import limits_of
    from trtdream.runtime.device import pick_device

    found = limits_of(pick_device(device), again)
    shown = table("limit", "reached", "", right=("reached",))
    shown.add_row("copy, read and written", f"{found.bytes_per_s / 1e9:.4g} GB/s")
    for precision, rate in found.flops_per_s.items():
        shown.add_row(f"matrix product, {precision}", f"{rate / 1e9:.4g} GFLOP/s")
    for precision, why in found.absent.items():
        shown.add_row(f"matrix product, {precision}", "-", f"not measured: {why}")
    shown.add_row("smallest call", f"{found.call_ms * 1e3:.3g} us")
    results.print(shown)
    results.print(f"measured {found.measured}; --again measures anew")
