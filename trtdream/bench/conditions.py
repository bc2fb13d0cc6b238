"""Under what conditions something was measured: a GPU's clocks, and who else used the processor."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from trtdream.bench.cores import Cores
from trtdream.bench.nvml import Watch


@dataclass(frozen=True)
class Seen:
    """What was seen while the block ran.

    Attributes:
        clocks: of the GPU, or why they are not known (see `Watch`).
        others: the share of the cores' time that others took; None where the system does not tell (see `Cores`).
        doubts: what of it keeps all of a result from being trusted.
    """

    clocks: Mapping[str, Any] = field(default_factory=lambda: {"absent": "nobody looked"})
    others: float | None = None
    doubts: tuple[str, ...] = ()


class Conditions:
    """Looks while the block runs; `seen` tells afterwards."""

    def __init__(self, device: str) -> None:
        self._clocks, self._cores, self._open = Watch(device), Cores(), ExitStack()

    def __enter__(self) -> Conditions:
        self._open.enter_context(self._clocks)
        self._open.enter_context(self._cores)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def seen(self) -> Seen:
        return Seen(self._clocks.document, self._cores.others, (*self._clocks.doubts, *self._cores.doubts))
