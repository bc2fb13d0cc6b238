"""A network set up to dream, picture after picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from trtdream.dream.ascent import Ascent
from trtdream.dream.canvas import Canvas, feathered_mask
from trtdream.dream.computing import Computing
from trtdream.dream.engine import WholeEngine
from trtdream.dream.memory import bytes_held, pick_tile
from trtdream.dream.night import Night
from trtdream.dream.octaves import Size, fitting, octave_sizes
from trtdream.dream.recorded import RecordedAscent
from trtdream.dream.tiles import SpareEngine, Tiling
from trtdream.dream.watch import Dream, Watch
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
        forms = Forms() if settings.classic else self.module.forms
        self.module.forms = replace(forms, gradients=self.computing.gradients(exactly=settings.classic))
        guide = load_image(settings.guide) if settings.guide else None
        self.objective = objective_of(seen, self.module, settings, None if guide is None else self.canvas.blob(guide))
        self._mask = load_image(settings.mask) if settings.mask else None
        self._engine = SpareEngine(WholeEngine(self.module, self.objective), self._tile)
        self._held = 0  # bytes that the picture at hand takes
        if self.computing.memory:
            give_back_freed_memory()
        if self.computing.tile:
            Tiling.of(self.module.graph, self.objective)  # refused now rather than at the first octave
        self._recorded: dict[tuple[torch.Size, float], RecordedAscent] = {}
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
        return self.dream_together([picture], watch)[0]

    def dream_together(self, pictures: Sequence[np.ndarray], watch: Watch | None = None) -> list[Dream]:
        """Dream into pictures of one size, H x W x 3 uint8 RGB, at once: of each the dream it has alone, but for the
        order in which numbers are added. All end where the numbers of one end.

        Raises:
            InputRefused: they are too small for a layer, or no layer answers to one of them.
        """
        watch = watch or Watch()
        self._held = bytes_held(self.sizes((pictures[0].shape[0], pictures[0].shape[1]))[-1], self.settings)
        self._engine.on_note = watch.on_note
        return Night(self, pictures, watch).run()

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
        if (like.shape, strength) in self._recorded:
            return self._recorded[like.shape, strength]
        length = self.settings.step * strength * self.canvas.scale
        rest = like, self.settings, length, self.canvas.bounds(), mask
        if self.computing.on_gpu and self.computing.fast and not self._engine.tile(size):
            recorded = RecordedAscent(self._engine.whole, *rest)
            try:
                recorded.record(self._pool)
            except torch.OutOfMemoryError:
                pass  # the other's engine goes on in tiles
            else:
                self._recorded[like.shape, strength] = recorded
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
        why = reason((height, width))
        raise InputRefused(f"the picture, {width} x {height}, is too small: {why}; --octave-size WxH enlarges it")
    return usable
