"""The octaves of a dream, from small to large, each a few steps uphill (google/deepdream, 2015)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trtdream.dream.ascent import Ascent
from trtdream.dream.canvas import with_colours_of
from trtdream.dream.octaves import Size, pyramid, strength_at, zoom
from trtdream.dream.watch import Dream, Moment, Octave, Watch
from trtdream.errors import InputRefused

if TYPE_CHECKING:
    from trtdream.dream.dreamer import Dreamer


class Night:
    """One dream into a picture, or at once into several of one size, H x W x 3 uint8 RGB each.

    Whoever watches is told of the first picture.
    """

    def __init__(self, dreamer: Dreamer, pictures: Sequence[np.ndarray], watch: Watch) -> None:
        self.dreamer, self.settings, self.pictures, self.watch = dreamer, dreamer.settings, pictures, watch
        self.size: Size = (pictures[0].shape[0], pictures[0].shape[1])
        self.sizes = dreamer.sizes(self.size)
        mask = dreamer.mask(self.sizes[-1], watch.on_note)
        self.mask = None if mask is None else torch.from_numpy(mask)[None, None].to(dreamer.computing.device)
        self.octaves: list[list[Octave]] = [[] for _ in pictures]
        self.data = self.level = torch.empty(0)  # the pictures as they are now, and as they were, at the octave's size
        self.answered = torch.zeros(len(pictures), dtype=torch.bool)

    def run(self) -> list[Dream]:
        jitter = self._jitter()
        interrupted, stopped = False, ""
        try:
            levels = pyramid(self._blobs(self.pictures), self.sizes)
            for index in range(len(self.sizes)):
                stopped = self._octave(index, self._begin(index, levels), jitter)
                if stopped:
                    break
        except KeyboardInterrupt:
            interrupted = True
        if not (self.answered.all() or interrupted or stopped):
            raise InputRefused(_silent(self.dreamer))
        finished = self._finished()
        return [
            Dream(picture, tuple(told), interrupted, stopped)
            for picture, told in zip(finished, self.octaves, strict=True)
        ]

    def _begin(self, index: int, levels: list[Tensor]) -> Ascent:
        """Set up an octave: its level, with what was dreamt so far; of large pictures nothing else is held."""
        level, size = levels.pop(), self.sizes[index]
        now = level
        if index:
            now = zoom(self.data - self.level, size).add_(level)
        self.data, self.level = now, level
        strength = strength_at(self.settings.strength, index, len(self.sizes))
        ascent = self.dreamer.ascent(level, strength, None if self.mask is None else zoom(self.mask, size))
        ascent.begin(now)
        self.data = ascent.data
        if not levels:
            self.level = torch.empty(0)  # no octave comes that what was dreamt would be carried to
        return ascent

    def _octave(self, index: int, ascent: Ascent, jitter: Iterator[tuple[int, int]]) -> str:
        """Dream one octave; says why not, if numbers end."""
        size = self.sizes[index]
        told = []
        for iteration in range(self.settings.iterations):
            told.append(ascent.step(next(jitter)))
            if self.data.device.type == "cpu" and not torch.isfinite(told[-1]).all():
                break
            self.watch.on_step(Moment(index, iteration, lambda: self._picture(0)))
        scores = torch.stack(told).cpu()  # iterations x (objective, strength) x pictures
        if not torch.isfinite(scores).all():
            return f"the gradient is no number at the octave of {size[1]} x {size[0]}; this is the picture before"
        self.answered |= (scores[:, 1] > 0).any(0)
        for place, octaves in enumerate(self.octaves):
            octaves.append(Octave(size, float(scores[0, 0, place]), float(scores[-1, 0, place])))
        if self.watch.on_octave is not None:
            self.watch.on_octave(self.octaves[0][-1], self._picture(0))
        return ""

    def _finished(self) -> list[np.ndarray]:
        """The pictures at their own size, whatever octave the dream has come to."""
        if self.data.numel() == 0:
            self.data = self._original(self.sizes[-1], self.pictures)
        elif self.data.shape[2:] != self.sizes[-1]:
            base = self._original(self.sizes[-1], self.pictures)
            self.data = zoom(self.data - self.level, self.sizes[-1]).add_(base)
        return [self._picture(place) for place in range(len(self.pictures))]

    def _blobs(self, pictures: Sequence[np.ndarray]) -> Tensor:
        blobs = [self.dreamer.canvas.blob(picture) for picture in pictures]
        return torch.cat(blobs) if len(blobs) > 1 else blobs[0]

    def _original(self, size: Size, pictures: Sequence[np.ndarray]) -> Tensor:
        """Pictures before the dream; made anew, for they are seldom asked for and large."""
        return zoom(zoom(self._blobs(pictures), self.sizes[-1]), size)

    def _picture(self, place: int) -> np.ndarray:
        """One of the pictures as it is now, at the octave's size."""
        canvas, before = self.dreamer.canvas, self.pictures[place]
        size = (self.data.shape[2], self.data.shape[3])
        picture = canvas.picture(self.data[place : place + 1])
        if self.settings.keep_colours:
            picture = with_colours_of(picture, canvas.picture(self._original(size, [before])))
        if self.mask is not None and size == self.size:
            untouched = (self.mask[0, 0] == 0).cpu().numpy()
            np.copyto(picture, before, where=untouched[..., None])
        return picture

    def _jitter(self) -> Iterator[tuple[int, int]]:
        """Shifts along width and height, drawn by the notebook's generator."""
        generator, most = np.random.RandomState(self.settings.seed), self.settings.jitter
        while True:
            right, down = generator.randint(-most, most + 1, 2)
            yield int(right), int(down)


def _silent(dreamer: Dreamer) -> str:
    named = ", ".join(sorted(dreamer.objective.values))
    return (
        f"{named}: does not answer to this picture, its gradient is zero everywhere;"
        " choose another layer or channel, or the value before a ReLU"
    )
