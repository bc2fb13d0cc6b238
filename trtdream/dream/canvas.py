"""Between pictures and the blobs that a dream changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from trtdream.dream.ascent import Bounds
from trtdream.dream.octaves import Size
from trtdream.errors import UsageError
from trtdream.runtime.image import resize_bilinear
from trtdream.runtime.preprocess import Preprocess, deprocess, preprocess

NOTEBOOK_MEAN = np.array([104, 116, 122], np.float32)
"""BGR: what the original notebook subtracts, a little less than GoogLeNet was trained with."""

_BAND = 1024  # rows converted at once: of a large picture there is no memory for more copies


class Canvas:
    """Pictures as a network sees them, of any size, uncropped; of a mean image, its channels' means.

    Args:
        spec: the network's preprocessing.
        classic: the notebook's mean, and pixels cut off to whole numbers instead of rounded.

    Raises:
        UsageError: classic, and the network takes no BGR pictures.
    """

    def __init__(self, spec: Preprocess, device: str, classic: bool = False) -> None:
        if classic and spec.channels != "BGR":
            raise UsageError(f"classic: is for networks of BGR pictures, this one takes {spec.channels}")
        self._spec = replace(spec, squash=None, mean=NOTEBOOK_MEAN if classic else spec.mean_values)
        self._device, self._classic = device, classic

    @property
    def scale(self) -> float:
        """How much of the blob's unit a grey level is."""
        return self._spec.scale

    @property
    def channels(self) -> int:
        return len(self._spec.mean)

    def blob(self, picture: np.ndarray) -> Tensor:
        """A picture H x W x 3 uint8 RGB as 1 x C x H x W float32, channels_last."""
        shape = (1, self.channels, *picture.shape[:2])
        blob = torch.empty(shape, device=self._device, memory_format=torch.channels_last)
        for top in range(0, shape[2], _BAND):
            band = picture[top : top + _BAND]
            array = preprocess(band, replace(self._spec, size=(band.shape[0], band.shape[1])))
            blob[0, :, top : top + _BAND] = torch.from_numpy(np.ascontiguousarray(array))
        return blob

    def picture(self, blob: Tensor) -> np.ndarray:
        """The inverse: H x W x 3 uint8 RGB."""
        picture = np.empty((*blob.shape[2:], 3), np.uint8)
        for top in range(0, blob.shape[2], _BAND):
            picture[top : top + _BAND] = self._pixels(blob[0, :, top : top + _BAND].cpu().numpy())
        return picture

    def _pixels(self, array: np.ndarray) -> np.ndarray:
        if self._classic:
            mean = self._spec.mean[:, None, None]
            array = (np.floor(array / np.float32(self.scale) + mean) - mean) * np.float32(self.scale)
        return deprocess(array, self._spec)

    def bounds(self) -> Bounds:
        """Black and white."""
        mean = torch.from_numpy(self._spec.mean.copy()).to(self._device).reshape(1, -1, 1, 1)
        ends = (-mean * self.scale, (255 - mean) * self.scale)
        return Bounds(torch.minimum(*ends), torch.maximum(*ends))


def feathered_mask(picture: np.ndarray, size: Size, feather: int) -> np.ndarray:
    """How far each pixel may change, H x W float32 of 0..1: a picture's brightness, at `size`, its edges softened.

    Args:
        feather: the standard deviation of the blur, in pixels.
    """
    grey = Image.fromarray(resize_bilinear(picture, *size)).convert("L")
    if feather:
        grey = grey.filter(ImageFilter.GaussianBlur(feather))
    return np.asarray(grey, np.float32) / 255


def with_colours_of(picture: np.ndarray, original: np.ndarray) -> np.ndarray:
    """The brightness of one picture with the colours of another of its size (Y, and Cb and Cr, of JPEG's YCbCr)."""
    mixed = np.empty_like(picture)
    for top in range(0, len(picture), _BAND):
        rows = slice(top, top + _BAND)
        brightness = Image.fromarray(picture[rows]).convert("YCbCr").getchannel(0)
        _, blue, red = Image.fromarray(original[rows]).convert("YCbCr").split()
        mixed[rows] = Image.merge("YCbCr", (brightness, blue, red)).convert("RGB")
    return mixed
