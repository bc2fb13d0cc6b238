"""Dreaming into many pictures, one after the other: a folder's, or a film's frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trtdream.dream.dreamer import Dreamer
from trtdream.dream.film.blend import Before, Blending, blended
from trtdream.dream.film.frames import Frame
from trtdream.dream.film.work import Work
from trtdream.dream.watch import Watch
from trtdream.errors import InputRefused
from trtdream.runtime.image import load_image

Describe = Callable[[Frame], Mapping[str, str]]


@dataclass(frozen=True)
class Failed:
    """A picture that could not be dreamt into, and why, in one line."""

    name: str
    reason: str


@dataclass(frozen=True)
class Series:
    """How a series went: the names of its pictures in order, those that failed, whether Ctrl-C cut it short."""

    names: tuple[str, ...]
    failed: tuple[Failed, ...]
    interrupted: bool = False


@dataclass(frozen=True)
class Told:
    """Who is told: before each picture that is dreamt into, with its name; and of each picture over, done or not."""

    on_frame: Callable[[str], None] = lambda _: None
    on_done: Callable[[str], None] = lambda _: None
    watch: Watch = field(default_factory=Watch)


class Dreaming:
    """One run over a series.

    Args:
        describe: a picture's metadata.
        film: all pictures must be of the first one's size, and each is blended with the dream before it.
        batch: how many pictures of one size, one after the other, are dreamt into at once; 1 where they are blended.
    """

    def __init__(
        self,
        dreamer: Dreamer,
        work: Work,
        describe: Describe,
        film: Blending | None = None,
        told: Told | None = None,
        batch: int = 1,
    ) -> None:
        self.dreamer, self.work, self.describe, self.film, self.told = dreamer, work, describe, film, told or Told()
        self.batch = batch
        self._waiting: list[tuple[Frame, np.ndarray]] = []
        self._failed: list[Failed] = []
        self._last: Frame | None = None  # the last one that is done
        self._size: tuple[int, ...] = ()
        self._before: Before | None = None

    def run(self, frames: Iterable[Frame]) -> Series:
        """Dream into every picture that is not done yet. A picture that fails is noted, and the rest goes on.

        Raises:
            TrtdreamError: a picture cannot be written.
        """
        names: list[str] = []
        try:
            for frame in frames:
                names.append(frame.name)
                self._take(frame)
            self._dream()
        except KeyboardInterrupt:
            return Series(tuple(names), tuple(self._failed), interrupted=True)
        return Series(tuple(names), tuple(self._failed))

    def _take(self, frame: Frame) -> None:
        """Let a picture wait until there are enough of its size, then dream into them."""
        if self.work.done(frame.name):
            self._last, self._before = frame, None
            self.told.on_done(frame.name)
            return
        try:
            picture = frame.load()
            self._check_size(frame, picture)
        except InputRefused as error:
            self._fail(frame, str(error))
            return
        if self._waiting and self._waiting[0][1].shape != picture.shape:
            self._dream()
        self._waiting.append((frame, picture))
        if len(self._waiting) >= self.batch:
            self._dream()

    def _dream(self) -> None:
        """Dream into what waits: at once, or by itself what then fails."""
        waiting, self._waiting = self._waiting, []
        if len(waiting) > 1 and self._dream_into(waiting):
            return
        for one in waiting:
            self._dream_into([one])

    def _dream_into(self, waiting: Sequence[tuple[Frame, np.ndarray]]) -> bool:
        """Dream into pictures at once, and save them; of several nothing is saved, or failed, unless all is well."""
        frame, picture = waiting[0]
        self.told.on_frame(frame.name)
        try:
            starts = [blended(picture, self._before_it(), self.film or Blending()) for _, picture in waiting]
            dreams = self.dreamer.dream_together(starts, self.told.watch)
            if dreams[0].interrupted:
                raise KeyboardInterrupt
            if dreams[0].stopped:
                raise InputRefused(f"{frame.name}: {dreams[0].stopped}")
        except InputRefused as error:
            if len(waiting) == 1:
                self._fail(frame, str(error))
            return False
        for (frame, picture), dream in zip(waiting, dreams, strict=True):
            self.work.save(frame.name, dream.picture, self.describe(frame))
            self._last, self._before = frame, Before(picture, dream.picture)
            self.told.on_done(frame.name)
        return True

    def _fail(self, frame: Frame, reason: str) -> None:
        self._failed.append(Failed(frame.name, reason))
        self.told.on_done(frame.name)

    def _check_size(self, frame: Frame, picture: np.ndarray) -> None:
        size = picture.shape[:2]
        self._size = self._size or (self._last.load().shape[:2] if self._last else size)
        if self.film is not None and size != self._size:
            (height, width), (first_height, first_width) = size, self._size
            raise InputRefused(
                f"{frame.name}: is {width} x {height}, the film before it {first_width} x {first_height}"
            )

    def _before_it(self) -> Before | None:
        if not self.film or not self.film.share:
            return None
        if self._before is None and self._last is not None:
            self._before = Before(self._last.load(), load_image(self.work.path(self._last.name)))
        return self._before


def finished(series: Series, work: Work) -> list[Path]:
    """The files of a film's frames in order; a frame that failed shows the one before it (or the first after it).

    Empty if not one is done.
    """
    failed = {each.name for each in series.failed}
    good = [name for name in series.names if name not in failed]
    shown: list[Path] = []
    for name in series.names if good else ():
        last = shown[-1] if shown else work.path(good[0])
        shown.append(last if name in failed else work.path(name))
    return shown
