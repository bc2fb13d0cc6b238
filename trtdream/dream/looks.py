"""What is kept and told of a dream while it goes on: the picture so far, each octave, what the network sees in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trtdream.dream.watch import Octave
from trtdream.runtime.image import save_image

See = Callable[[np.ndarray], Sequence[str]]
"""What a network sees in a picture, a line a class."""


@dataclass
class Looks:
    """To be asked at each octave.

    Attributes:
        preview: a file that shows the picture so far; None for none.
        octaves: a folder for each octave's picture; None for none.
        see: what the network sees in a picture; None not to ask.
        say: told what it sees.
        metadata: what made the dream, for the files.
    """

    preview: Path | None = None
    octaves: Path | None = None
    see: See | None = None
    say: Callable[[str], None] = lambda _: None
    metadata: Mapping[str, str] = field(default_factory=dict)
    _count: int = field(default=0, init=False)

    @property
    def wanted(self) -> bool:
        return bool(self.preview or self.octaves or self.see)

    def before(self, picture: np.ndarray) -> None:
        """Look at the picture before the dream."""
        self._tell("before", picture)

    def after(self, picture: np.ndarray) -> None:
        """Look at the finished dream."""
        self._tell("after", picture)

    def on_octave(self, octave: Octave, picture: np.ndarray) -> None:
        """Keep and tell; `picture` is H x W x 3 uint8 RGB of the octave's size.

        Raises:
            TrtdreamError: a file cannot be written.
        """
        height, width = octave.size
        if self.preview:
            save_image(self.preview, picture, self.metadata)
        if self.octaves:
            save_image(self.octaves / f"octave_{self._count}_{width}x{height}.png", picture, self.metadata)
        self._count += 1
        self._tell(f"{width} x {height}", picture)

    def _tell(self, when: str, picture: np.ndarray) -> None:
        if self.see:
            self.say(f"{when}: " + "; ".join(self.see(picture)))
