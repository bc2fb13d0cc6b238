"""What the headline's report shows beside its table: both networks layer by layer, and over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from trtdream.bench.headline import BATCHES
from trtdream.bench.layers import time_layers
from trtdream.bench.limits import Limits
from trtdream.bench.nettime import NetTime
from trtdream.bench.results import Result, Row, rows_of
from trtdream.bench.subject import Setting, Subject, halving, net_for
from trtdream.bench.sweep import sweep_rows
from trtdream.bench.timing import Repeats
from trtdream.net.kind import Phase

_REPEATS = Repeats(runs=10, warm_up=2, seconds=15)


def details(
    rows: Sequence[Row], setting: Setting, limits: Limits, on_part: Callable[[str], None] = lambda _: None
) -> Iterator[Result]:
    """A result of each network, at the batch that the headline's rows had."""
    batches = {row.name: row.extra["images"] for row in rows if row.part == "forward" and row.timing}
    for name in BATCHES:
        if name not in batches:
            continue
        on_part(f"{name}, layer by layer")
        chosen = replace(setting, phase=Phase.TRAIN, batch=batches[name])
        net = net_for(name, Phase.TRAIN)

        def run(batch: int, chosen: Setting = chosen, name: str = name) -> NetTime:
            return time_layers(Subject(net_for(name, Phase.TRAIN), replace(chosen, batch=batch)), _REPEATS, limits)

        times = halving(batches[name], run)
        on_part(f"{name}, over batches")
        swept = list(sweep_rows(net, chosen, times.batch))
        settings = {"network": net.name, "phase": "TRAIN", "batch": times.batch}
        about = {**settings, "precision": setting.precision, "backend": "torch", "device": setting.device}
        yield Result("net", about, [*rows_of(times), *swept], limits, times.doubts)
