"""Octaves: the sizes of one picture from small to large, and the zoom between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn.functional import interpolate

Size = tuple[int, int]


def octave_sizes(size: Size, octaves: int, scale: float) -> list[Size]:
    """Heights and widths from the smallest octave to the picture's own size.

    Each is the next one divided by `scale` and rounded (scipy's rule in the original notebook: half to even).
    """
    sizes = [size]
    for _ in range(octaves - 1):
        height, width = sizes[-1]
        sizes.append((round(height / scale), round(width / scale)))
    return sizes[::-1]


def fitting(sizes: list[Size], fits: Callable[[Size], bool]) -> list[Size]:
    """The sizes that the network can take: those below the least one are left out."""
    return [size for index, size in enumerate(sizes) if all(fits(larger) for larger in sizes[index:])]


def zoom(blob: Tensor, size: Size) -> Tensor:
    """A blob N x C x H x W resampled to `size`, bilinearly, corners on corners, as scipy.ndimage.zoom of order 1."""
    if tuple(blob.shape[2:]) == size:
        return blob
    return interpolate(blob, size, mode="bilinear", align_corners=True)


def strength_at(curve: Sequence[float], octave: int, octaves: int) -> float:
    """The curve's value at an octave: its points lie evenly from the first octave to the last, lines between them."""
    if len(curve) == 1 or octaves == 1:
        return curve[-1]
    place = octave * (len(curve) - 1) / (octaves - 1)
    before = min(int(place), len(curve) - 2)
    return curve[before] + (place - before) * (curve[before + 1] - curve[before])


def pyramid(base: Tensor, sizes: list[Size]) -> list[Tensor]:
    """The picture at each size, the largest first; each is zoomed from the one before."""
    levels = [zoom(base, sizes[-1])]
    for size in sizes[-2::-1]:
        levels.append(zoom(levels[-1], size))
    return levels
