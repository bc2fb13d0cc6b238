"""Every number of a run as JSON lines, and what is drawn from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from trtdream.files import write_file
from trtdream.train.log import Lines


@dataclass(frozen=True)
class Metric:
    """One line: what was displayed at an iteration of training, or what a test found.

    loss is smoothed over `average_loss`, losses are all since the last line; outputs are of the last batch (train) or
    means over the test. seconds is the time trained so far, left what is still to come; waiting the share of the time
    since the last line that was spent waiting for data.
    """

    kind: Literal["train", "test"]
    iteration: int
    outputs: dict[str, float]
    loss: float | None = None
    lr: float | None = None
    losses: list[float] = field(default_factory=list)
    images_per_second: float | None = None
    waiting: float | None = None
    left: float | None = None
    seconds: float = 0.0
    set: int = 0


class Metrics:
    """The file metrics.jsonl: appended to, line by line; TensorBoard's beside it where that is installed."""

    def __init__(self, folder: Path, resumed_at: int = 0) -> None:
        """Lines of a run that went further than where it is resumed are dropped: they will be written again."""
        self.path = folder / "metrics.jsonl"
        self.lines = [line for line in read_metrics(self.path) if line.iteration < resumed_at]
        write_file(self.path, "".join(_text(line) + "\n" for line in self.lines))
        self._file = Lines(self.path)
        self._board = _tensorboard(folder, resumed_at)

    def write(self, metric: Metric) -> None:
        self.lines.append(metric)
        self._file.write(_text(metric))
        if self._board is not None:
            for name, value in _scalars(metric).items():
                part = f"{metric.kind}{metric.set or ''}"  # test, test1, test2 ...
                self._board.add_scalar(f"{part}/{name}", value, metric.iteration)

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_metrics(path: Path) -> list[Metric]:
    """The lines of a file, none where there is no file; a last line cut short by a kill is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(Metric(**json.loads(line)))
        except (ValueError, TypeError):
            break
    return found


def _text(metric: Metric) -> str:
    values = {key: value for key, value in asdict(metric).items() if value not in (None, [])}
    return json.dumps(values)


def _scalars(metric: Metric) -> dict[str, float]:
    named = {key: getattr(metric, key) for key in ("loss", "lr", "images_per_second", "waiting")}
    return {**metric.outputs, **{key: value for key, value in named.items() if value is not None}}


def _tensorboard(folder: Path, resumed_at: int) -> Any:
    """Its writer, or None without the package. Steps from `resumed_at` on, of a run that went further, are hidden."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=resumed_at or None)
