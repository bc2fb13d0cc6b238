"""What a person sees while a run goes on: a live table on a terminal, the log's lines elsewhere. On stderr."""

from __future__ import annotations

from rich.live import Live as RichLive
from rich.table import Table

from trtdream.console import messages, say, table
from trtdream.train.log import Entry
from trtdream.train.metrics import Metric
from trtdream.train.pace import hours

_SPOKEN = {"I": "", "W": "warning: ", "E": "error: "}


class Live:
    """Use as a context manager; `line` and `metric` are told what happens."""

    def __init__(self, max_iter: int) -> None:
        self._max_iter = max_iter
        self._shown = RichLive(console=messages, refresh_per_second=4, transient=True) if messages.is_terminal else None
        self._tests: dict[str, float] = {}
        self._last: Metric | None = None

    def __enter__(self) -> Live:
        if self._shown:
            self._shown.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._shown.stop()

    def line(self, entry: Entry) -> None:
        """A line of the log; on a terminal those with numbers are left to the table, the others stay above it."""
        if self._shown is None:
            say(entry.stamped())
        elif not entry.is_number:
            say(f"{_SPOKEN[entry.severity]}{entry.text}")

    def metric(self, metric: Metric) -> None:
        """A line of numbers: drawn into the live table."""
        if metric.kind == "test":
            test = f"test {metric.set} " if metric.set else "test "
            self._tests |= {test + name: value for name, value in metric.outputs.items()}
        else:
            self._last = metric
        if self._shown:
            self._shown.update(self._table())

    def _table(self) -> Table:
        shown = table("iteration", "loss", "lr", "images/s", "ms/image", "waiting", "left", *self._tests)
        last = self._last
        if last is None:
            return shown
        speed = last.images_per_second or 0.0
        row = [
            f"{last.iteration} / {self._max_iter}",
            f"{last.loss:.4g}",
            f"{last.lr:.3g}",
            f"{speed:.4g}",
            f"{1000 / speed:.3g}" if speed else "",
            f"{last.waiting or 0:.0%}",
            hours(last.left) if last.left is not None else "",
        ]
        shown.add_row(*row, *(f"{value:.4g}" for value in self._tests.values()))
        return shown
