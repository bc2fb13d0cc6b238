"""Where a run is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Where a run is: all of it goes into a snapshot.

    loss_window holds the last `average_loss` losses, unwritten_losses those since the last display; seconds is the time
    trained so far, without tests and snapshots.
    """

    iteration: int = 0
    loss_window: deque[float] = field(default_factory=deque)
    seconds: float = 0.0
    last_test: dict[str, float] = field(default_factory=dict)
    unwritten_losses: list[float] = field(default_factory=list)
