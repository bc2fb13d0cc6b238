"""What a dream tells while it goes on, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trtdream.dream.octaves import Size


@dataclass(frozen=True)
class Moment:
    """A step done: which, and the picture as it is now.

    Attributes:
        octave, iteration: counted from 0.
        picture: makes it, H x W x 3 uint8 RGB of the octave's size; asking for it waits for the device.
    """

    octave: int
    iteration: int
    picture: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Octave:
    """One octave done: its size and the objective at its first and last step."""

    size: Size
    first: float
    last: float


@dataclass(frozen=True)
class Watch:
    """Who is told.

    Attributes:
        on_step: after each of octaves x iterations steps.
        on_octave: after each octave, with the picture at that octave's size, H x W x 3 uint8 RGB.
        on_note: a line that a person should see (smaller tiles, a layer that does not answer).
    """

    on_step: Callable[[Moment], None] = lambda _: None
    on_octave: Callable[[Octave, np.ndarray], None] | None = None
    on_note: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Dream:
    """What came of it.

    Attributes:
        picture: H x W x 3 uint8 RGB.
        octaves: those finished.
        interrupted: whether Ctrl-C cut it short.
        stopped: why it ended early by itself, in one line; "" if it did not. The picture is the last good one.
    """

    picture: np.ndarray
    octaves: tuple[Octave, ...]
    interrupted: bool = False
    stopped: str = ""
