"""Frames: pictures one after the other, from a folder or a video, each decoded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from trtdream.runtime.image import load_image
from trtdream.runtime.pictures import find_pictures


@dataclass(frozen=True)
class Frame:
    """A picture of a series.

    Attributes:
        name: its own among the others; with folders in front of it, if it has some.
        load: decodes it, H x W x 3 uint8 RGB; raises InputRefused if it cannot be.
        file: the file that holds it, or the video it is of.
    """

    name: str
    load: Callable[[], np.ndarray]
    file: Path


def folder_frames(folder: Path) -> list[Frame]:
    """The pictures in a folder, at any depth, in the order a person would put them: 1, 2, 10.

    Raises:
        UsageError: there is none.
    """
    paths = [named.path for named in find_pictures([folder])]
    return [Frame(path.relative_to(folder).as_posix(), partial(load_image, path), path) for path in paths]


def numbered(index: int) -> str:
    """What a frame is called that has no name of its own; counted from 1."""
    return f"frame{index:06d}.png"
