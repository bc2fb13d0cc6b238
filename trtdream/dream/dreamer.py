"""A network set up to dream, picture after picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from trtdream.dream.ascent import Ascent
from trtdream.dream.canvas import Canvas, feathered_mask, with_colours_of
from trtdream.dream.computing import Computing
from trtdream.dream.engine import WholeEngine
from trtdream.dream.memory import bytes_held, pick_tile
from trtdream.dream.octaves import Size, fitting, octave_sizes, pyramid, strength_at, zoom
from trtdream.dream.recorded import RecordedAscent
from trtdream.dream.tiles import SpareEngine, Tiling
from trtdream.dream.watch import Dream, Moment, Octave, Watch
from trtdream.dream.wishes import objective_of, values_of
from trtdream.errors import InputRefused
from trtdream.net.forms import Forms
from trtdream.net.shapes import infer_shapes
from trtdream.recipe.dream_schema import Settings
from trtdream.runtime.convolutional import fully_convolutional
from trtdream.runtime.device import give_back_freed_memory
from trtdream.runtime.image import load_image
from trtdream.runtime.model import Model


class Dreamer:
    """Dreams by the same settings into any number of pictures, one after the other.

    What can be prepared is prepared once: the module, the objective with its guide, and on a GPU each octave's
    recorded step.

    Raises:
        UsageError: no such layer, class or objective, or tiles asked for where there can be none.
        InputRefused: a guide or mask that cannot be read or used.
    """

    def __init__(self, model: Model, settings: Settings, computing: Computing | None = None) -> None:
        self.model, self.settings = model, settings
        self.computing = computing or Computing()
        device = self.computing.device
        self.canvas = Canvas(model.pictures, device, settings.classic)
        seen = fully_convolutional(model) if settings.classes else model
        self.module = seen.module(values_of(seen, settings), device=device)
        # classic: sums in the layers' own order, for later octaves are chaotic
        forms, gradients = (
            Forms() if settings.classic else self.module.forms,
            self.computing.gradients(settings.classic),
        )
        self.module.forms = replace(forms, gradients=gradients)
        guide = load_image(settings.guide) if settings.guide else None
        self.objective = objective_of(seen, self.module, settings, None if guide is None else self.canvas.blob(guide))
        self._mask = load_image(settings.mask) if settings.mask else None
        self._engine = SpareEngine(WholeEngine(self.module, self.objective), self._tile)
        self._held = 0  # bytes that the picture at hand takes
        if self.computing.memory:
            give_back_freed_memory()
        if self.computing.tile:
            Tiling.of(self.module.graph, self.objective)  # refused now rather than at the first octave
        self._recorded: dict[tuple[Size, float], RecordedAscent] = {}
        self._pool = torch.cuda.graph_pool_handle() if self.computing.on_gpu else (0, 0)

    def sizes(self, size: Size) -> list[Size]:
        """The octaves' sizes for a picture of that size, without those too small for the network.

        Raises:
            InputRefused: the picture itself is too small.
        """
        return usable_octaves(self.model, size, self.settings)

    def dream(self, picture: np.ndarray, watch: Watch | None = None) -> Dream:
        """Dream into a picture, H x W x 3 uint8 RGB, of any size.

        Ctrl-C ends it with what there is, and so does a gradient that is no number: the octaves done so far, zoomed to
        the picture's size.

        Raises:
            InputRefused: the picture is too small for a layer, or no layer answers to it.
        """
        watch = watch or Watch()
        self._held = bytes_held(self.sizes((picture.shape[0], picture.shape[1]))[-1], self.settings)
        self._engine.on_note = watch.on_note
        return _Night(self, picture, watch).run()

    def gradient(self, picture: np.ndarray) -> np.ndarray:
        """How strongly each pixel of a picture (H x W x 3 uint8 RGB) bears on what grows: H x W float32.

        The magnitude of the objective's gradient, over the channels; the picture is taken at its own size.

        Raises:
            InputRefused: the picture is too small for a layer.
        """
        size = self.sizes((picture.shape[0], picture.shape[1]))[-1]
        self._held = bytes_held(size, self.settings)
        _, gradient = self._engine(self.canvas.blob(picture))
        found: np.ndarray = gradient[0].norm(dim=0).cpu().numpy()
        return found

    def ascent(self, like: Tensor, strength: float, mask: Tensor | None) -> Ascent:
        """The steps of the octave of that shape; recorded ones are kept for the next picture."""
        size = (like.shape[2], like.shape[3])
        if (size, strength) in self._recorded:
            return self._recorded[size, strength]
        length = self.settings.step * strength * self.canvas.scale
        rest = like, self.settings, length, self.canvas.bounds(), mask
        if self.computing.on_gpu and self.computing.fast and not self._engine.tile(size):
            recorded = RecordedAscent(self._engine.whole, *rest)
            try:
                recorded.record(self._pool)
            except torch.OutOfMemoryError:
                pass  # the other's engine goes on in tiles
            else:
                self._recorded[size, strength] = recorded
                return recorded
        return Ascent(self._engine, *rest)

    def _tile(self, size: Size) -> int:
        """The tile that the caller asked for, for an octave of that size; 0: the whole."""
        computing = self.computing
        if computing.memory and not computing.tile:
            return pick_tile(self.module.graph, self.objective, size, self._held, computing.memory)
        return computing.tile if computing.tile < max(size) else 0

    def mask(self, size: Size, note: Callable[[str], None]) -> np.ndarray | None:
        """How far each pixel of a picture of that size may change, H x W of 0..1; None: as far as it likes."""
        if self._mask is None:
            return None
        (height, width), wanted = self._mask.shape[:2], f"{size[1]} x {size[0]}"
        if (height, width) != size:
            note(f"the mask is {width} x {height}: resized to the picture's {wanted}")
        return feathered_mask(self._mask, size, self.settings.feather)


class _Night:
    """One picture's octaves, from small to large, each a few steps uphill (google/deepdream, 2015)."""

    def __init__(self, dreamer: Dreamer, picture: np.ndarray, watch: Watch) -> None:
        self.dreamer, self.settings, self.picture, self.watch = dreamer, dreamer.settings, picture, watch
        self.sizes = dreamer.sizes((picture.shape[0], picture.shape[1]))
        mask = dreamer.mask(self.sizes[-1], watch.on_note)
        self.mask = None if mask is None else torch.from_numpy(mask)[None, None].to(dreamer.computing.device)
        self.octaves: list[Octave] = []
        self.data = self.level = torch.empty(0)  # the picture as it is now, and as it was, at the octave's size
        self.answered = False

    def run(self) -> Dream:
        jitter = self._jitter()
        interrupted, stopped = False, ""
        try:
            levels = pyramid(self.dreamer.canvas.blob(self.picture), self.sizes)
            for index in range(len(self.sizes)):
                stopped = self._octave(index, self._begin(index, levels), jitter)
                if stopped:
                    break
        except KeyboardInterrupt:
            interrupted = True
        if not (self.answered or interrupted or stopped):
            raise InputRefused(_silent(self.dreamer))
        return Dream(self._finished(), tuple(self.octaves), interrupted, stopped)

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
            self.watch.on_step(Moment(index, iteration, lambda: self._picture(self.data)))
        scores = torch.stack(told).cpu()  # iterations x (objective, strength)
        if not torch.isfinite(scores).all():
            return f"the gradient is no number at the octave of {size[1]} x {size[0]}; this is the picture before"
        self.answered = self.answered or bool((scores[:, 1] > 0).any())
        self.octaves.append(Octave(size, float(scores[0, 0]), float(scores[-1, 0])))
        if self.watch.on_octave is not None:
            self.watch.on_octave(self.octaves[-1], self._picture(self.data))
        return ""

    def _finished(self) -> np.ndarray:
        """The picture at its own size, whatever octave the dream has come to."""
        if self.data.shape[2:] == self.sizes[-1]:
            return self._picture(self.data)
        base = self._original(self.sizes[-1])
        if self.data.numel() == 0:
            return self._picture(base)
        return self._picture(zoom(self.data - self.level, self.sizes[-1]).add_(base))

    def _original(self, size: Size) -> Tensor:
        """The picture before the dream; made anew, for it is seldom asked for and large."""
        return zoom(zoom(self.dreamer.canvas.blob(self.picture), self.sizes[-1]), size)

    def _picture(self, data: Tensor) -> np.ndarray:
        size = (data.shape[2], data.shape[3])
        picture = self.dreamer.canvas.picture(data)
        if self.settings.keep_colours:
            picture = with_colours_of(picture, self.dreamer.canvas.picture(self._original(size)))
        if self.mask is not None and size == self.picture.shape[:2]:
            untouched = (self.mask[0, 0] == 0).cpu().numpy()
            np.copyto(picture, self.picture, where=untouched[..., None])
        return picture

    def _jitter(self) -> Iterator[tuple[int, int]]:
        """Shifts along width and height, drawn by the notebook's generator."""
        generator, most = np.random.RandomState(self.settings.seed), self.settings.jitter
        while True:
            right, down = generator.randint(-most, most + 1, 2)
            yield int(right), int(down)


def usable_octaves(model: Model, size: Size, settings: Settings) -> list[Size]:
    """The octaves' sizes for a picture of that size (or those the settings name), without those too small.

    Raises:
        InputRefused: the largest is too small.
    """
    values = values_of(model, settings)
    data = model.graph.inputs[0]
    channels = len(model.pictures.mean)

    def reason(size: Size) -> str:
        try:
            infer_shapes(model.graph, {data: (1, channels, *size)}, values)
        except InputRefused as error:
            return str(error)
        return ""

    sizes = list(settings.sizes) or octave_sizes(size, settings.octaves, settings.octave_scale)
    usable = fitting(sizes, lambda size: not reason(size))
    if not usable:
        height, width = sizes[-1]
        raise InputRefused(f"the picture, {width} x {height}, is too small: {reason((height, width))}")
    return usable


def _silent(dreamer: Dreamer) -> str:
    named = ", ".join(sorted(dreamer.objective.values))
    return (
        f"{named}: does not answer to this picture, its gradient is zero everywhere;"
        " choose another layer or channel, or the value before a ReLU"
    )
