"""Signals while training: taken note of when they come, obeyed between iterations."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType


class Wish(IntEnum):
    """What a signal asks for; the greater includes the lesser."""

    NOTHING = 0
    SNAPSHOT = 1
    STOP = 2


_MEANING = {signal.SIGHUP: Wish.SNAPSHOT, signal.SIGINT: Wish.STOP, signal.SIGTERM: Wish.STOP}


class Interrupts:
    """The wish that signals have brought since it was last asked for."""

    def __init__(self) -> None:
        self._wish = Wish.NOTHING
        self._asked_at_keyboard = False

    @property
    def wish(self) -> Wish:
        """The wish so far, which stays."""
        return self._wish

    def take(self) -> Wish:
        """The wish, once."""
        wish, self._wish = self._wish, Wish.NOTHING
        return wish

    def note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  a signal handler's arguments
        """Handle a signal. A second Ctrl-C stops at once, without a snapshot.

        A second SIGTERM does not: launchers and schedulers send theirs beside the one that a process group gets.
        """
        if number == signal.SIGINT:
            if self._asked_at_keyboard:
                raise KeyboardInterrupt
            self._asked_at_keyboard = True
        self._wish = max(self._wish, _MEANING[signal.Signals(number)])


@contextmanager
def listening() -> Iterator[Interrupts]:
    """SIGINT and SIGTERM: snapshot and stop; SIGHUP: snapshot and go on. The former handlers come back afterwards."""
    interrupts = Interrupts()
    before = {number: signal.signal(number, interrupts.note) for number in _MEANING}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
