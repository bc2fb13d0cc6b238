"""Pictures put together to what moves: GIF, animated WebP, or a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from trtdream.dream.film.encode import CODECS, write_video
from trtdream.errors import UsageError
from trtdream.files import replacing

ANIMATIONS = {".gif": "GIF", ".webp": "WEBP"}
"""The suffixes of films that any program that shows pictures can show."""

SUFFIXES = (*ANIMATIONS, *CODECS)


def check_film(path: Path) -> None:
    """Raises UsageError if the suffix names no film that can be written: to be asked before long work."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{path}: films are written as {', '.join(SUFFIXES)}, not as {path.suffix!r}; or name a folder"
        )


def write_film(
    path: Path,
    frames: Iterable[np.ndarray],
    rate: Fraction,
    times: Sequence[Fraction] = (),
    sound_of: Path | None = None,
    comment: str = "",
) -> None:
    """Write at least one frame, H x W x 3 uint8 RGB of one size, as the film that the suffix names.

    See `write_video` for the arguments; GIF and WebP have no sound, show one frame after the other, over and over, and
    count in hundredths and thousandths of a second.

    Raises:
        UsageError: another suffix.
        TrtdreamError: it cannot be written.
    """
    check_film(path)
    suffix = path.suffix.lower()
    if suffix in CODECS:
        write_video(path, frames, rate, times, sound_of, comment)
    elif suffix == ".gif":
        _write_animation(path, (_in_256_colours(frame) for frame in frames), rate, 10, comment)
    else:
        _write_animation(path, map(Image.fromarray, frames), rate, 1, comment)


def _write_animation(path: Path, images: Iterator[Image.Image], rate: Fraction, tick: int, comment: str) -> None:
    """tick: milliseconds that durations are counted in."""
    first, *rest = images
    durations = _durations(1 + len(rest), rate, tick)
    with replacing(path) as temporary:
        kind = ANIMATIONS[path.suffix.lower()]
        extra = {"comment": comment.encode()} if kind == "GIF" else {"quality": 85, "method": 4}
        first.save(temporary, kind, save_all=True, append_images=rest, duration=durations, loop=0, **extra)


def _durations(frames: int, rate: Fraction, tick: int) -> list[int]:
    """Milliseconds that each frame is shown, in whole ticks, so that none is late by more than one.

    Two ticks at least: programs that show GIFs slow faster ones down.
    """
    ends = [round(index * 1000 / rate / tick) for index in range(frames + 1)]
    return [max(after - before, 2) * tick for before, after in pairwise(ends)]


def _in_256_colours(frame: np.ndarray) -> Image.Image:
    """A GIF's own colours for each frame, the rest dithered."""
    return Image.fromarray(frame).quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
