"""The log: lines that Caffe's own log parsers read, in a file and, without a terminal's live view, on stderr."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

Values = Mapping[str, Sequence[float]]
"""A net's outputs: blob name -> its numbers (one for a loss or an accuracy)."""


class Log:
    """Appends to a file, a line at a time, each with glog's prefix (severity, MMDD, time, process)."""

    def __init__(self, path: Path, echo: Callable[[str], None] = lambda _: None) -> None:
        self._file = Lines(path)
        self._echo = echo

    def line(self, text: str, severity: str = "I") -> None:
        stamp = datetime.now().strftime("%m%d %H:%M:%S.%f")
        written = f"{severity}{stamp} {os.getpid():5d} trtdream] {text}"
        self._file.write(written)
        self._echo(written)

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
