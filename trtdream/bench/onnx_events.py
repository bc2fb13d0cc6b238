"""What ONNX Runtime's profiler writes: events in Chrome's trace form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_MARK = "_kernel_time"


def read_profile(path: Path) -> list[dict[str, float]]:
    """Milliseconds of each run by kernel, from what ONNX Runtime's profiler wrote."""
    return _by_run(json.loads(path.read_text()))


def _by_run(events: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """Kernels belong to the run whose time theirs lies in; an event's `ts` and `dur` are microseconds."""
    spans = sorted((one["ts"], one["ts"] + one["dur"]) for one in events if one["name"] == "model_run")
    found: list[dict[str, float]] = [{} for _ in spans]
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith(_MARK):
            continue
        index = next((i for i, (start, end) in enumerate(spans) if start <= event["ts"] <= end), None)
        if index is not None:
            name = event["name"].removesuffix(_MARK)
            found[index][name] = found[index].get(name, 0.0) + event["dur"] / 1e3
    return found
