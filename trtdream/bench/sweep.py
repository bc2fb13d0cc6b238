"""Throughput against the batch: the same network as a whole, batch after batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trtdream.bench.layers import time_whole
from trtdream.bench.nettime import PARTS
from trtdream.bench.results import WHOLE, Row, per_image
from trtdream.bench.subject import Setting, Subject, halving
from trtdream.bench.timing import Repeats
from trtdream.bench.work import BOTH
from trtdream.net.net import Net

_QUICK = Repeats(runs=5, warm_up=1, seconds=2)


def sweep_rows(net: Net, setting: Setting, most: int) -> Iterator[Row]:
    """Rows for the batches 1, 2, 4 ... up to `most`; one that memory cannot hold ends them."""
    batch, fits = 1, True
    while batch <= most and fits:
        fitted, rows = halving(batch, lambda size: (size, _rows(net, replace(setting, batch=size))))
        fits = fitted == batch
        if fits:
            yield from rows
        batch *= 2


def _rows(net: Net, setting: Setting) -> list[Row]:
    subject = Subject(net, setting)
    times = time_whole(subject, _QUICK)
    return [
        Row(WHOLE, f"{part}, batch {subject.batch}", times[part], extra=per_image(times[part], subject.batch))
        for part in (*PARTS, BOTH)
        if part in times
    ]
