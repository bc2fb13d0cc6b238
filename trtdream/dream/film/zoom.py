"""Zoom loops: dream, move a little into the picture, dream again (the original notebook's 100 frames)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import grid_sample

from trtdream.dream.film.frames import Frame, numbered
from trtdream.dream.film.work import Work
from trtdream.errors import UsageError
from trtdream.runtime.image import load_image


@dataclass(frozen=True)
class Motion:
    """From each frame to the next: the share of the picture's sides that leaves the view, the turn in degrees
    (counter-clockwise), and the number of frames."""

    zoom: float = 0.0
    rotate: float = 0.0
    frames: int = 100

    def __post_init__(self) -> None:
        if not -0.5 <= self.zoom <= 0.5:
            raise UsageError(f"--zoom {self.zoom:g}: a share of the picture's sides, -0.5 to 0.5; the classic is 0.05")
        if not -180 <= self.rotate <= 180:
            raise UsageError(f"--rotate {self.rotate:g}: degrees a frame, -180 to 180")
        if self.frames < 1:
            raise UsageError(f"--frames {self.frames}: must be 1 at least")


def moved(picture: np.ndarray, motion: Motion) -> np.ndarray:
    """The picture, H x W x 3 uint8, a frame later: zoomed and turned about its middle, mirrored beyond its edges."""
    height, width = picture.shape[:2]
    angle, by = math.radians(motion.rotate), 1 - motion.zoom
    cosine, sine = math.cos(angle) * by, math.sin(angle) * by
    down, right = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij"
    )
    from_right, from_down = cosine * right - sine * down, sine * right + cosine * down  # pixels from the middle
    grid = torch.stack([from_right * 2 / width, from_down * 2 / height], -1)[None]  # -1..1 from edge to edge
    blob = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    seen = grid_sample(blob, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return np.ascontiguousarray(seen[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy())


def loop_frames(source: Path, motion: Motion, work: Work) -> Iterator[Frame]:
    """The frames to dream into: the picture, then each dreamt frame moved on. One is made once the last is done."""
    for index in range(1, motion.frames + 1):
        before = None if index == 1 else work.path(numbered(index - 1))
        if before is not None and not work.done(numbered(index - 1)):
            return  # it failed: there is nothing to move on

        def load(before: Path | None = before) -> np.ndarray:
            return load_image(source) if before is None else moved(load_image(before), motion)

        yield Frame(numbered(index), load, source)
