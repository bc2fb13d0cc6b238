"""The same picture seen a little shifted, turned and scaled: what stands up to that is no artefact of the network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from trtdream.runtime.preprocess import Preprocess

GREY = 0.5
"""What lies outside a picture."""


@dataclass(frozen=True)
class Wobble:
    """The most a view differs: shift in pixels each way, turn in degrees each way, scale as a share each way."""

    shift: float = 12.0
    turn: float = 8.0
    scale: float = 0.08


def random_view(wobble: Wobble, size: int, generator: torch.Generator) -> Tensor:
    """An affine map, 1 x 2 x 3, from places of the view to places of the picture of `size` (see `affine_grid`)."""
    down, right, turn, scale = (torch.rand(4, generator=generator) * 2 - 1).tolist()
    angle, by = math.radians(turn * wobble.turn), 1 + scale * wobble.scale
    cosine, sine = math.cos(angle) * by, math.sin(angle) * by
    unit = 2 * wobble.shift / size  # the picture's side is 2 there
    return torch.tensor([[[cosine, -sine, right * unit], [sine, cosine, down * unit]]])


def view(picture: Tensor, place: Tensor, size: int) -> Tensor:
    """The picture N x 3 x S x S (0..1) through the map `place`, as N x 3 x size x size; grey around it."""
    many = place.to(picture.device).expand(len(picture), 2, 3)
    grid = affine_grid(many, [len(picture), 3, size, size], align_corners=False)
    return grid_sample(picture - GREY, grid, padding_mode="zeros", align_corners=False) + GREY


def to_blob(picture: Tensor, spec: Preprocess) -> Tensor:
    """RGB pictures N x 3 x H x W in 0..1 as the network's blob N x C x H x W, differentiably; mean values only."""
    pixels = picture * 255
    if spec.channels == "BGR":
        pixels = pixels.flip(1)
    elif spec.channels == "GREY":
        luminance = pixels.new_tensor([0.299, 0.587, 0.114])  # ITU-R BT.601, as `preprocess`
        pixels = torch.einsum("c,nchw->nhw", luminance, pixels)[:, None]
    mean = torch.from_numpy(spec.mean_values.copy()).to(pixels.device)
    return (pixels - mean.reshape(1, -1, 1, 1)) * spec.scale
