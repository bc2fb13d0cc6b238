"""The last step, on the device: crop, mirror, subtract the mean, scale and cast, from uint8 to the network's input."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from trtdream.data.transform import Placement, Transform

if TYPE_CHECKING:
    import torch

# BGR weights of luma (ITU-R BT.601), which contrast and saturation keep
_LUMA = (0.114, 0.587, 0.299)
_MOST_BUFFERS = 7  # beyond these, whoever hoards batches pays for fresh memory


class Recycled:
    """float32 buffers that are used again once nobody holds a tensor of theirs any more.

    Fresh memory of a batch's size costs more than filling it: the kernel hands it out page by page (measured:
    1,700 batches' pictures a second instead of 5,500).
    """

    def __init__(self) -> None:
        self._buffers: list[np.ndarray] = []

    def take(self, shape: tuple[int, ...]) -> np.ndarray:
        """A buffer of this shape, of undefined content, which no tensor refers to."""
        for buffer in self._buffers:
            # the list, this loop and getrefcount's argument; a tensor made of it would be one more
            if buffer.shape == shape and sys.getrefcount(buffer) == 3:
                return buffer
        self._buffers = [*self._buffers[-_MOST_BUFFERS:], np.empty(shape, np.float32)]
        return self._buffers[-1]


class Finish:
    """Turns N x C x H x W uint8 pixels into the `data` of a batch, N x C x crop x crop.

    On the CPU sample by sample in numpy, without threads of its own: ten times the speed of one big gather, and
    of torch operations whose threads wait for each other on a busy machine (measured). On a GPU in a handful of
    launches for the whole batch. The two give the same numbers.
    """

    def __init__(
        self, transform: Transform, shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype
    ) -> None:
        import torch

        self._crop = (transform.crop or shape[1], transform.crop or shape[2])
        self._scale = transform.scale
        self._dtype = dtype
        mean = transform.mean(*shape)
        self._mean = None if mean is None else torch.from_numpy(mean).to(device)
        self._buffers = Recycled()
        self._form: Callable[..., torch.Tensor] = self._gathered if device.type == "cuda" else self._each

    def __call__(self, pixels: torch.Tensor, placement: Placement, colours: np.ndarray | None = None) -> torch.Tensor:
        """The finished N x C x crop x crop batch, of this object's dtype, for N placements (and N x 3 factors)."""
        return self._form(pixels, placement, colours)

    def _each(self, pixels: torch.Tensor, placement: Placement, colours: np.ndarray | None) -> torch.Tensor:
        import torch

        crop_h, crop_w = self._crop
        source = pixels.numpy()
        result = self._buffers.take((len(placement), source.shape[1], crop_h, crop_w))
        mean = None if self._mean is None else self._mean.numpy()
        for i, (y, x, mirror) in enumerate(zip(placement.y, placement.x, placement.mirror, strict=True)):
            out = result[i]
            step = -1 if mirror else 1
            np.copyto(out, source[i, :, y : y + crop_h, x : x + crop_w][:, :, ::step])
            if colours is not None:
                out[:] = coloured(torch.from_numpy(out[None]), colours[i : i + 1])[0]
            if mean is not None and mean.shape[1] == 1:
                out -= mean
            elif mean is not None:
                out -= mean[:, y : y + crop_h, x : x + crop_w][:, :, ::step]
            if self._scale != 1:
                out *= self._scale
        return torch.from_numpy(result).to(self._dtype)

    def _gathered(self, pixels: torch.Tensor, placement: Placement, colours: np.ndarray | None) -> torch.Tensor:
        import torch

        crop_h, crop_w = self._crop
        device = pixels.device
        corner = np.stack([placement.y, placement.x, placement.mirror.astype(np.int64)])
        moved = torch.from_numpy(corner)
        if device.type == "cuda":
            moved = moved.pin_memory().to(device, non_blocking=True)
        y, x, mirror = moved
        rows = y[:, None] + torch.arange(crop_h, device=device)  # N x crop
        across = torch.arange(crop_w, device=device)
        columns = x[:, None] + torch.where(mirror[:, None] == 1, crop_w - 1 - across, across)  # N x crop
        sample = torch.arange(len(placement), device=device)[:, None, None, None]
        channel = torch.arange(pixels.shape[1], device=device)[None, :, None, None]
        rows, columns = rows[:, None, :, None], columns[:, None, None, :]
        result = pixels[sample, channel, rows, columns].float()  # N x C x crop x crop
        if colours is not None:
            result = coloured(result, colours)
        if self._mean is not None:
            result.sub_(self._mean if self._mean.shape[1] == 1 else self._mean[channel, rows, columns])
        if self._scale != 1:
            result.mul_(self._scale)
        return result.to(self._dtype)


def coloured(pixels: torch.Tensor, factors: np.ndarray) -> torch.Tensor:
    """N x 3 x H x W float pixels (BGR, 0..255) times N x 3 factors of brightness, contrast, saturation.

    Contrast is taken about the picture's mean luma, saturation about each pixel's own; values stay in 0..255.
    """
    import torch

    brightness, contrast, saturation = (
        torch.from_numpy(np.ascontiguousarray(factors[:, i])).to(pixels.device).reshape(-1, 1, 1, 1) for i in range(3)
    )
    weights = torch.tensor(_LUMA, device=pixels.device).reshape(1, 3, 1, 1)
    pixels = (pixels * brightness).clamp(0, 255)
    level = (pixels * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    pixels = torch.lerp(level.expand_as(pixels), pixels, contrast).clamp(0, 255)
    luma = (pixels * weights).sum(1, keepdim=True)
    return torch.lerp(luma.expand_as(pixels), pixels, saturation).clamp(0, 255)
