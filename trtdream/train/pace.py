"""How fast a training is: the time in iterations, apart from the tests and snapshots between them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from trtdream.data.loader import Loader


@dataclass(frozen=True)
class Pace:
    """How fast some iterations were: how many, in how many seconds, and the share of them spent waiting for data."""

    iterations: int
    images: int
    seconds: float
    waiting: float

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Reading:
    """A stopwatch at one moment: iterations, images and seconds trained in, seconds waited for data."""

    iterations: int
    images: int
    seconds: float
    waited: float

    def since(self, earlier: Reading) -> Pace:
        """What lies between two readings."""
        seconds = self.seconds - earlier.seconds
        waiting = min((self.waited - earlier.waited) / seconds, 1.0) if seconds else 0.0
        return Pace(self.iterations - earlier.iterations, self.images - earlier.images, seconds, waiting)


class Stopwatch:
    """Counts iterations and their seconds; what happens in `paused` is not counted."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._started, self._elsewhere = time.perf_counter(), 0.0
        self._iterations = self._images = 0

    def count(self, images: int) -> None:
        """One more iteration, on so many images."""
        self._iterations += 1
        self._images += images

    def read(self) -> Reading:
        seconds = time.perf_counter() - self._started - self._elsewhere
        return Reading(self._iterations, self._images, seconds, self._loader.waited)

    @contextmanager
    def paused(self) -> Iterator[None]:
        since = time.perf_counter()
        try:
            yield
        finally:
            self._elsewhere += time.perf_counter() - since


def hours(seconds: float) -> str:
    """As people say it: 3.2 h, 12 min, 40 s."""
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
