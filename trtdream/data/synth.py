"""A small deterministic JPEG data set: textured shapes that a small network learns on a CPU in a minute."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trtdream.data.lists import write_list
from trtdream.errors import UsageError
from trtdream.files import write_file

_QUALITY = 92


def _disc(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.hypot(y, x) < 1


def _square(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.maximum(abs(y), abs(x)) < 0.85


def _triangle(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return (y < 0.75) & (abs(x) < (y + 1) * 0.6)


def _ring(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return abs(np.hypot(y, x) - 0.75) < 0.27


def _cross(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return (np.minimum(abs(y), abs(x)) < 0.3) & (np.maximum(abs(y), abs(x)) < 1)


def _diamond(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return abs(y) + abs(x) * 1.5 < 1


def _star(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.hypot(y, x) < 0.7 + 0.3 * np.cos(5 * np.arctan2(y, x))


def _moon(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return (np.hypot(y, x) < 1) & (np.hypot(y, x - 0.5) > 0.75)


SHAPES = {
    "disc": _disc,
    "square": _square,
    "triangle": _triangle,
    "ring": _ring,
    "cross": _cross,
    "diamond": _diamond,
    "star": _star,
    "moon": _moon,
}
# each from rows and columns in units of the texture's period to -1..1
TEXTURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "rows": lambda y, x: np.sin(2 * np.pi * y) + 0 * x,
    "columns": lambda y, x: np.sin(2 * np.pi * x) + 0 * y,
    "checks": lambda y, x: np.sign(np.sin(2 * np.pi * y) * np.sin(2 * np.pi * x)),
    "slants": lambda y, x: np.sin(2 * np.pi * (x + y) * 0.7),
    "dots": lambda y, x: np.where(np.hypot(y % 1 - 0.5, x % 1 - 0.5) < 0.3, 1.0, -1.0),
}
MOST_CLASSES = len(SHAPES) * len(TEXTURES)  # 8 and 5 have no common factor: each pair comes once


def class_name(label: int) -> str:
    """The shape and the texture of a class, e.g. `03_ring_slants`: in ASCII order as the labels are."""
    shape, texture = list(SHAPES)[label % len(SHAPES)], list(TEXTURES)[label % len(TEXTURES)]
    return f"{label:02d}_{shape}_{texture}"


def draw(label: int, number: int, size: int) -> np.ndarray:
    """Picture `number` of a class, size x size x 3 uint8 (RGB); the same for ever."""
    # RandomState, for its numbers are frozen; a Generator's may change with numpy
    random = np.random.RandomState([label, number, size])
    shape, texture = list(SHAPES)[label % len(SHAPES)], list(TEXTURES)[label % len(TEXTURES)]
    background, ink = random.randint(30, 226, 3), random.randint(0, 256, 3)
    ink = np.where(abs(ink - background) < 70, (background + 128) % 256, ink)
    radius = size * random.uniform(0.26, 0.42)
    centre = size / 2 + random.uniform(-0.5, 0.5, 2) * (size - 2 * radius) * 0.8
    turn = random.uniform(-0.25, 0.25)
    y, x = np.mgrid[:size, :size] - centre[:, None, None]
    y, x = y * np.cos(turn) - x * np.sin(turn), y * np.sin(turn) + x * np.cos(turn)
    inside = SHAPES[shape](y / radius, x / radius)[..., None]
    period = radius * random.uniform(0.38, 0.5)
    wave = TEXTURES[texture](y / period, x / period)[..., None] * 0.5 + 0.5
    slope = np.linspace(-25, 25, size)[:, None, None] * random.uniform(-1, 1)
    picture = np.where(inside, ink * wave + (255 - ink) * (1 - wave), background + slope)
    picture = picture + random.normal(0, 9, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def synthesise(
    folder: Path, classes: int, images: int, val: int, size: int, advance: Callable[[int], None] = lambda _: None
) -> None:
    """Write `images` training and `val` validation JPEGs, a folder per class, and train.txt and val.txt.

    Raises:
        UsageError: more classes than there are pairs of shape and texture, or fewer pictures than classes.
    """
    from PIL import Image

    if not 2 <= classes <= MOST_CLASSES:
        raise UsageError(f"--classes {classes}: between 2 and {MOST_CLASSES} can be drawn")
    if min(images, val) < classes:
        raise UsageError(f"--images {images}, --val {val}: at least one per class ({classes}) each")
    for part, count, first in (("train", images, 0), ("val", val, images)):
        lines = []
        for number in range(count):
            label = number % classes
            path = f"{part}/{class_name(label)}/{number:05d}.jpg"
            buffer = io.BytesIO()
            picture = Image.fromarray(draw(label, first + number, size))
            picture.save(buffer, "JPEG", quality=_QUALITY)
            write_file(folder / path, buffer.getvalue())
            lines.append((path, label))
            advance(1)
        write_list(folder / f"{part}.txt", lines)
