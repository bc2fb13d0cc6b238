"""Progress of long work: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trtdream.console import messages, progress, say

_EVERY = 30.0  # seconds between two lines in a log


@contextmanager
def tracked(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Yield a function to be called with the number of samples just done."""
    if messages.is_terminal:
        with progress() as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.advance(task, count)
        return
    started = last = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= _EVERY and 0 < done < total:
            left = (now - started) / done * (total - done)
            say(f"{what}: {done} of {total}, {done / (now - started):.0f}/s, about {left:.0f} s left")
            last = now

    yield advance
