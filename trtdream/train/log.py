"""The log: lines that Caffe's own log parsers read, in a file and, for who watches, one by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

Values = Mapping[str, Sequence[float]]
"""A net's outputs: blob name -> its numbers (one for a loss or an accuracy)."""

Severity = Literal["I", "W", "E"]


@dataclass(frozen=True)
class Entry:
    """A line of the log. is_number: of those that come again and again, which a live view shows in its own way."""

    text: str
    severity: Severity = "I"
    is_number: bool = False

    def stamped(self) -> str:
        """With glog's prefix: severity, MMDD, time, process."""
        return f"{self.severity}{datetime.now():%m%d %H:%M:%S.%f} {os.getpid():5d} trtdream] {self.text}"


class Log:
    """Appends to a file, a line at a time."""

    def __init__(self, path: Path, watcher: Callable[[Entry], None] = lambda _: None) -> None:
        self._file = Lines(path)
        self._watcher = watcher

    def write(self, entry: Entry) -> None:
        self._file.write(entry.stamped())
        self._watcher(entry)

    def line(self, text: str, severity: Severity = "I") -> None:
        self.write(Entry(text, severity))

    def number(self, text: str) -> None:
        self.write(Entry(text, is_number=True))

    def close(self) -> None:
        self._file.close()


class Lines:
    """A text file that lines are appended to, each at once. A full disk loses lines, never the run that writes them."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def write(self, line: str) -> None:
        with suppress(OSError):
            os.write(self._descriptor, f"{line}\n".encode())

    def close(self) -> None:
        os.close(self._descriptor)


def iteration_line(iteration: int, loss: float, seconds: float, iterations: int) -> str:
    """`Iteration 20 (1.23 iter/s, 16.2s/20 iters), loss = 6.9`; without a measured time in the short form."""
    if not iterations or seconds <= 0:
        return f"Iteration {iteration}, loss = {loss:.6g}"
    speed = f"{iterations / seconds:.6g} iter/s, {seconds:.6g}s/{iterations} iters"
    return f"Iteration {iteration} ({speed}), loss = {loss:.6g}"


def output_lines(phase: str, values: Values, weights: Mapping[str, float]) -> list[str]:
    """`    Train net output #0: loss = 6.9 (* 1 = 6.9 loss)`: one for each number, blobs by name as Caffe's set."""
    lines: list[str] = []
    for name in sorted(values):
        for value in values[name]:
            line = f"    {phase} net output #{len(lines)}: {name} = {value:.6g}"
            if weight := weights.get(name):
                line += f" (* {weight:.6g} = {weight * value:.6g} loss)"
            lines.append(line)
    return lines
