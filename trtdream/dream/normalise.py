"""What a gradient is divided by, so that a step has a size that does not depend on the layer.

Each normaliser takes the gradients of pictures, N x C x H x W, which it may change in place, and gives them scaled,
each by its own strength, with the strengths, N x 1 x 1 x 1: 0 where the layer does not answer to the picture, and then
the scaled gradient is 0 as well.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

from trtdream.registry import registrar

Normaliser = Callable[[Tensor], tuple[Tensor, Tensor]]

NORMALISERS: dict[str, Normaliser] = {}
normaliser = registrar(NORMALISERS, "normalisers")
LEVELS = 4
_PICTURE = (1, 2, 3)  # the axes of each
TINY = 1e-30
"""The least divisor: of a gradient that is zero, 0 / tiny is 0."""


def mean_magnitude(blob: Tensor) -> Tensor:
    """Of each picture, N x 1 x 1 x 1."""
    return torch.linalg.vector_norm(blob, 1, dim=_PICTURE, keepdim=True) / blob[0].numel()


@normaliser("mean")
def by_mean(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """By the mean magnitude (the notebook's rule)."""
    strength = mean_magnitude(gradient)
    return gradient.div_(strength.clamp(min=TINY)), strength


@normaliser("rms")
def by_rms(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """By the root of the mean square."""
    strength = torch.linalg.vector_norm(gradient, dim=_PICTURE, keepdim=True) / gradient[0].numel() ** 0.5
    return gradient.div_(strength.clamp(min=TINY)), strength


@normaliser("laplacian")
def by_laplacian(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Each level of its Laplacian pyramid by its own root mean square, so that coarse shapes grow as fast as fine ones.

    The pyramid is Burt and Adelson's (1983), with their 5-tap binomial filter; LEVELS levels, fewer for a small
    picture.
    """
    rest, strength = by_rms(gradient)
    levels = []
    for _ in range(LEVELS - 1):
        if min(rest.shape[2:]) < 8:
            break
        smaller = _down(rest)
        levels.append(rest - _up(smaller, rest.shape))
        rest = smaller
    total = by_rms(rest)[0]
    for level in reversed(levels):
        total = _up(total, level.shape) + by_rms(level)[0]
    return by_rms(total)[0], strength


def _filter(like: Tensor) -> Tensor:
    taps = torch.tensor([1.0, 4, 6, 4, 1], dtype=like.dtype).outer(torch.tensor([1.0, 4, 6, 4, 1], dtype=like.dtype))
    return (taps / 256).to(like.device).expand(like.shape[1], 1, 5, 5).contiguous()


def _down(blob: Tensor) -> Tensor:
    return conv2d(blob, _filter(blob), stride=2, padding=2, groups=blob.shape[1])


def _up(blob: Tensor, shape: torch.Size) -> Tensor:
    larger = ((shape[2] - 1) % 2, (shape[3] - 1) % 2)
    return conv_transpose2d(blob, 4 * _filter(blob), stride=2, padding=2, output_padding=larger, groups=blob.shape[1])
