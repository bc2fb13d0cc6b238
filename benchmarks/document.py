"""What the programs here end with: their result as a document of `trtdream bench --json`, printed and written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from trtdream.bench.conditions import Conditions
from trtdream.bench.limits import limits_of
from trtdream.bench.results import Result, Row, write_results


def measure(
    program: str, settings: Mapping[str, Any], device: str, rows: Callable[[], Iterable[Row]], out: Path | None
) -> None:
    """Measure the rows, print the document and, where a file is named, write it, whole or not at all."""
    limits = limits_of(device)  # measured before, if they are not known
    with Conditions(device) as conditions:
        found = list(rows())
    document = Result(f"benchmarks/{program}", settings, found, limits, (), conditions.seen).document()
    print(json.dumps(document, indent=2))
    if out:
        write_results(out, document)
