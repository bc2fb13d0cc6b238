"""How a dream came about, as a film: one frame a step."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from trtdream.dream.film.films import write_film
from trtdream.dream.watch import Moment

_LONGEST, _RATE, _HELD = 320, Fraction(12), 12


class Making:
    """Collects a dream's steps, at most so many, at a size to look at: 320 pixels at most."""

    def __init__(self, picture: np.ndarray, most: int = 240) -> None:
        self._most = most
        height, width = picture.shape[:2]
        by = min(1.0, _LONGEST / max(height, width))
        self._size = (max(1, round(width * by)), max(1, round(height * by)))
        self._frames = [self._small(picture)]
        self._every = 1
        self._seen = 0

    def on_step(self, moment: Moment) -> None:
        """Take the picture as it is after a step; every second one goes whenever there are too many."""
        self._seen += 1
        if self._seen % self._every:
            return
        self._frames.append(self._small(moment.picture()))
        if len(self._frames) > self._most:
            self._frames = self._frames[::2]
            self._every *= 2

    def write(self, path: Path, finished: np.ndarray) -> None:
        """Write the film, the finished picture held for a second at its end.

        Raises:
            TrtdreamError: it cannot be written.
        """
        write_film(path, [*self._frames, *[self._small(finished)] * _HELD], _RATE)

    def _small(self, picture: np.ndarray) -> np.ndarray:
        return np.array(Image.fromarray(picture).resize(self._size, Image.Resampling.BILINEAR))
