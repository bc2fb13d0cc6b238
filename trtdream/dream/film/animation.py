"""Pictures that move, GIF, WebP and PNG, as sources of frames; `films.py` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np

from trtdream.dream.film.frames import Frame, numbered
from trtdream.errors import InputRefused
from trtdream.runtime.image import durations_in, moving_frames, pictures_in

ANIMATED = {".gif", ".webp", ".png", ".apng"}
"""The suffixes of pictures that may move."""


@dataclass(frozen=True)
class Animation:
    """A picture that moves.

    Attributes:
        times: when each frame is shown, in seconds, rising.
        length: how long all of them are shown, in seconds.
    """

    path: Path
    times: tuple[Fraction, ...]
    length: Fraction
    sound: str = ""

    @property
    def count(self) -> int:
        return len(self.times)

    @property
    def rate(self) -> Fraction:
        """Frames a second, on average."""
        return self.count / self.length

    def frames(self, begun: int = 0) -> Iterator[Frame]:
        """The frames in order; one that is damaged says so when it is loaded.

        Args:
            begun: that many at the start are not decoded unless they are loaded, each by itself.
        """
        yield from (Frame(numbered(rank), partial(self._alone, rank), self.path) for rank in range(1, begun + 1))
        for rank, found in enumerate(moving_frames(self.path, begun), begun + 1):
            yield Frame(numbered(rank), partial(_loaded, found), self.path)

    def _alone(self, rank: int) -> np.ndarray:
        return _loaded(next(moving_frames(self.path, rank - 1)))


def is_animation(path: Path) -> bool:
    """Whether a file is a picture that moves.

    Raises:
        UsageError: no such file.
        InputRefused: it is no picture that can be read.
    """
    return path.suffix.lower() in ANIMATED and pictures_in(path) > 1


def open_animation(path: Path) -> Animation:
    """What a picture that moves is.

    Raises: as `is_animation`.
    """
    ends = [Fraction(end, 1000) for end in accumulate(durations_in(path))]
    return Animation(path, (Fraction(0), *ends[:-1]), ends[-1])


def _loaded(found: np.ndarray | InputRefused) -> np.ndarray:
    if isinstance(found, InputRefused):
        raise found
    return found
