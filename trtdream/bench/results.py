"""A measurement as one JSON document (`results.schema.json`): written, read, checked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trtdream.bench.conditions import Seen
from trtdream.bench.limits import Limits
from trtdream.bench.machine import describe_machine
from trtdream.bench.nettime import NetTime, Pass
from trtdream.bench.timing import Timing
from trtdream.errors import InputRefused, TrtdreamError
from trtdream.files import read_file, write_file

FORMAT = "trtdream-bench"
VERSION = 3
WHOLE = "(whole)"
"""The name of a row that is of no layer but of all."""

UNMEASURED = (TrtdreamError, ImportError, RuntimeError)
"""What a row may be missing for: work refused, a package that is not there, a library that fails (DALI, CUDA)."""


@dataclass(frozen=True)
class Row:
    """One measured thing, named by what it is of (a layer, a network) and which part of it.

    timing is None for what could not be measured; `absent` says why. extra holds further numbers of the row; warnings
    say what beside its own spread makes the number doubtful.
    """

    name: str
    part: str
    timing: Timing | None
    absent: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[str, ...]:
        return (*(self.timing.doubts if self.timing else ()), *self.warnings)

    def as_document(self) -> dict[str, Any]:
        head: dict[str, Any] = {"name": self.name, "part": self.part}
        if self.timing is None:
            return {**head, "absent": self.absent}
        return {**head, **self.timing.as_document(), "doubts": list(self.doubts), **self.extra}


@dataclass(frozen=True)
class Result:
    """What one `bench` command measured.

    Attributes:
        what: net, headline, data, train, engine or dream; or, as benchmarks/forward, one of the programs there.
        settings: what was asked for: network, batch, precision, device ...
        doubts: what keeps all of it from being trusted, beside what was seen.
    """

    what: str
    settings: Mapping[str, Any]
    rows: Sequence[Row]
    limits: Limits | None = None
    doubts: Sequence[str] = ()
    seen: Seen = Seen()  # noqa: RUF009  frozen

    def document(self) -> dict[str, Any]:
        """What `--json` writes (see results.schema.json)."""
        import torch

        found: dict[str, Any] = {
            "format": FORMAT,
            "schema": VERSION,
            "what": self.what,
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {**describe_machine(), "threads": torch.get_num_threads()},
            "load_average": load_average(),
            "settings": dict(self.settings),
            "doubts": [*self.doubts, *self.seen.doubts],
            "clocks": dict(self.seen.clocks),
            "others": self.seen.others,
            "rows": [row.as_document() for row in self.rows],
        }
        return found if self.limits is None else {**found, "limits": vars(self.limits)}


def load_average() -> list[float]:
    """Of the last 1, 5 and 15 minutes; above the number of cores, others were at work too."""
    return [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else []


def reason(error: BaseException) -> str:
    """An error in one line, for a row that could not be measured."""
    text = " ".join(str(error).split())[:300] or type(error).__name__
    return f"{error.name} is not installed" if isinstance(error, ModuleNotFoundError) and error.name else text


def per_image(timing: Timing, images: int) -> dict[str, Any]:
    """A row's numbers of images: how many, milliseconds of one, how many a second."""
    each = timing.median_ms / images
    return {"images": images, "ms_per_image": round(each, 5), "images_per_s": round(1e3 / each, 2) if each else None}


def rows_of(times: NetTime) -> list[Row]:
    """A network's rows: each layer forward and backward, then the whole."""
    rows = []
    for layer in times.layers:
        about = {"kind": layer.kind, "macs": layer.macs, **({"holds": list(layer.holds)} if layer.holds else {})}
        rows.append(Row(layer.name, "forward", layer.forward.timing, extra={**about, **_work(layer.forward)}))
        if layer.backward is not None:
            rows.append(Row(layer.name, "backward", layer.backward.timing, extra={**about, **_work(layer.backward)}))
    for part, whole in times.wholes.items():
        extra = {**per_image(whole, times.batch), "peak_bytes": times.peak_bytes}
        extra["sum_of_layers_ms"] = round(times.added_up[part].median_ms, 4)
        rows.append(Row(WHOLE, part, whole, extra=extra))
    return rows


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write a document whole or not at all."""
    write_file(path, json.dumps(results, indent=2) + "\n")


def read_results(path: Path) -> dict[str, Any]:
    """A document that `trtdream bench --json` wrote.

    Raises:
        UsageError: there is no such file.
        InputRefused: it is something else, or of another version of the schema.
    """
    try:
        found = json.loads(read_file(path))
    except ValueError as error:
        raise InputRefused(f"{path}: is no JSON ({error})") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputRefused(f"{path}: is no result of `trtdream bench --json`")
    if found.get("schema") != VERSION:
        raise InputRefused(
            f"{path}: has schema {found.get('schema')}, this trtdream reads {VERSION}; measure again, or use"
            " the version that wrote it"
        )
    for index, row in enumerate(_list(found.get("rows"))):
        sound = isinstance(row, dict) and isinstance(row.get("name"), str) and isinstance(row.get("part"), str)
        if not sound or not ("absent" in row or all(_number(row.get(key)) for key in ("median_ms", "spread"))):
            raise InputRefused(f"{path}: rows[{index}] lacks name, part, median_ms or spread")
    if not _list(found.get("rows")) or not isinstance(found.get("machine"), dict):
        raise InputRefused(f"{path}: has no rows or no machine")
    return found


def _work(each: Pass) -> dict[str, Any]:
    seconds = each.timing.median_ms / 1e3
    return {
        "flops": each.work.flops,
        "bytes": each.work.bytes,
        "flops_per_s": round(each.work.flops / seconds) if seconds else None,
        "bytes_per_s": round(each.work.bytes / seconds) if seconds else None,
        **each.bound.as_document(),
    }


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool) and found >= 0
