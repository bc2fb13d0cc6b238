"""What happens to a picture between the file and the network: Caffe's transform_param, and a little more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from trtdream.caffe.mean import read_mean
from trtdream.data.order import Dice, below, bits, fraction
from trtdream.errors import InputRefused, UsageError

Phase = Literal["TRAIN", "TEST"]
Resize = Literal["squash", "short_side", "none"]


@dataclass(frozen=True)
class Transform:
    """How pixels become a network's input; the defaults are CaffeNet's but for the crop and the mean.

    out = (pixel - mean) * scale, BGR, 0..255. In TRAIN the crop lies anywhere, in TEST in the centre;
    `mirror` mirrors every other sample in either phase, as Caffe does.
    """

    size: int = 256
    resize: Resize = "squash"  # to size x size; or the short side to size; or the pictures as they are
    crop: int | None = None  # None: the whole picture
    mirror: bool = False
    mean_file: Path | None = None  # subtracted at the crop's place, mirrored with the pixels
    mean_value: tuple[float, ...] = ()  # per channel, BGR; one number for all channels
    scale: float = 1.0
    random_area: tuple[float, float] | None = None  # TRAIN: crop this share of the picture, resized to `crop`
    aspect: tuple[float, float] = (3 / 4, 4 / 3)  # width / height of a random area before resizing
    jitter: float = 0.0  # TRAIN: brightness, contrast, saturation times 1 +- jitter

    def faults(self) -> list[str]:
        """All that is wrong with these settings, each as `key: what, and what to do`; empty when nothing is."""
        size_known = self.resize != "none"
        low, high = self.random_area or (1.0, 1.0)
        needs_crop = self.resize == "short_side" or self.random_area is not None
        checks = {
            f"size: {self.size} is no size in pixels": self.size < 1,
            f"crop: {self.crop} is no size in pixels": self.crop is not None and self.crop < 1,
            f"crop: {self.crop} does not fit into size {self.size}": size_known and (self.crop or 0) > self.size,
            "crop: short_side and random_area need a crop": needs_crop and self.crop is None,
            "mean_file, mean_value: give one of them, not both": bool(self.mean_file and self.mean_value),
            "mean_file: a mean image has one place per pixel only with resize: squash (or none); use mean_value": (
                self.mean_file is not None and needs_crop
            ),
            f"random_area: {self.random_area} is no range within 0..1": not 0 < low <= high <= 1,
            f"aspect: {self.aspect} is no range above 0": not 0 < self.aspect[0] <= self.aspect[1],
            f"jitter: {self.jitter} is not within 0..1": not 0 <= self.jitter < 1,
        }
        return [fault for fault, present in checks.items() if present]

    def check(self) -> Transform:
        """Itself. Raises UsageError naming all faults."""
        if faults := self.faults():
            raise UsageError("; ".join(faults))
        return self

    def mean(self, channels: int, height: int, width: int) -> np.ndarray | None:
        """The mean to subtract from a C x H x W picture: C x H x W or C x 1 x 1 float32; None for none.

        Raises:
            InputRefused: the mean has not the picture's size or channels (Caffe demands both).
        """
        if self.mean_file is not None:
            mean = read_mean(self.mean_file)
            if mean.ndim == 3 and mean.shape != (channels, height, width):
                raise InputRefused(
                    f"{self.mean_file}: this mean image is {_shape(mean.shape)}, the pictures are "
                    f"{_shape((channels, height, width))}: make one with `trtdream data mean`"
                )
        elif self.mean_value:
            mean = np.asarray(self.mean_value, np.float32)
        else:
            return None
        if mean.ndim == 1:
            if len(mean) not in (1, channels):
                raise InputRefused(f"{len(mean)} mean values for pictures of {channels} channels: give 1 or {channels}")
            mean = np.broadcast_to(mean, channels).reshape(channels, 1, 1)
        return np.array(mean, np.float32, order="C")  # its own, writable: torch takes it over


@dataclass(frozen=True)
class Placement:
    """Where the crops of N samples lie, and which of them are mirrored."""

    y: np.ndarray  # N, int64: first row
    x: np.ndarray  # N, int64: first column
    mirror: np.ndarray  # N, bool

    def __len__(self) -> int:
        return len(self.y)


def place(transform: Transform, phase: Phase, seed: int, positions: np.ndarray, height: int, width: int) -> Placement:
    """The crops of the samples at N positions, in pictures of height x width.

    TRAIN: offsets uniform in 0..H-crop; TEST: (H-crop)/2 rounded down (Caffe's DataTransformer).
    """
    count = len(positions)
    crop_h, crop_w = transform.crop or height, transform.crop or width
    if crop_h > height or crop_w > width:
        raise UsageError(f"crop: {transform.crop} does not fit into pictures of {width} x {height}")
    if phase == "TRAIN":
        y = below(height - crop_h + 1, bits(seed, positions, Dice.CROP_Y))
        x = below(width - crop_w + 1, bits(seed, positions, Dice.CROP_X))
    else:
        y = np.full(count, (height - crop_h) // 2)
        x = np.full(count, (width - crop_w) // 2)
    return Placement(y, x, mirrored(transform, seed, positions))


def mirrored(transform: Transform, seed: int, positions: np.ndarray) -> np.ndarray:
    """Which of N samples are mirrored (bool)."""
    if not transform.mirror:
        return np.zeros(len(positions), bool)
    return below(2, bits(seed, positions, Dice.MIRROR)) == 1


def colours(transform: Transform, phase: Phase, seed: int, positions: np.ndarray) -> np.ndarray | None:
    """N x 3 factors (float32) for brightness, contrast and saturation; None without jitter."""
    if phase == "TEST" or transform.jitter == 0:
        return None
    kinds = (Dice.BRIGHTNESS, Dice.CONTRAST, Dice.SATURATION)
    drawn = np.stack([fraction(bits(seed, positions, kind)) for kind in kinds], axis=1)
    return (1 + transform.jitter * (2 * drawn - 1)).astype(np.float32)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)
