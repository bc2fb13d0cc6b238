"""From a picture to the blob a network was trained on, and back: Caffe's squash, crop, mean and scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, cast

import numpy as np

from trtdream.errors import InputRefused
from trtdream.files import sha256
from trtdream.runtime.image import resize_bilinear

Size = tuple[int, int]  # height, width

CHANNELS = {"BGR": 3, "RGB": 3, "GREY": 1}
"""The orders of a blob's channels, and how many they are."""

_KEYS = {"size", "squash", "channels", "scale", "mean"}


@dataclass(frozen=True, eq=False)
class Preprocess:
    """How a network wants its pictures: the one truth of it, for training, engines and dreams alike.

    A picture, RGB with 0..255, is squashed to `squash` without keeping its proportions (or left at its own
    size), a crop of `size` is cut out, its channels are put in order, `mean` is subtracted and the result
    multiplied by `scale`: (pixel - mean) * scale, as Caffe's DataTransformer (data_transformer.cpp).

    Raises InputRefused where these do not fit each other.
    """

    size: Size
    """Height and width of the network's input, and so of the crop."""

    squash: Size | None
    """Height and width the whole picture is squashed to first (Caffe: 256 x 256); None: as it is."""

    mean: np.ndarray
    """float32, 0..255, channels in the order of `channels`: one value per channel (C), or a mean image
    C x H x W. One of the squashed picture's size is subtracted at the crop's place and mirrored with it, as
    DataTransformer does; one of the input's size from every crop alike, as pycaffe's Transformer does."""

    scale: float = 1.0
    """Caffe's `scale` of a data layer, `input_scale` in Python."""

    channels: str = "BGR"
    """"BGR" (Caffe's own), "RGB", or "GREY" for networks of one channel."""

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS:
            raise InputRefused(f"preprocessing: channels {self.channels!r} is none of {', '.join(CHANNELS)}")
        if min(self.size) < 1 or (self.squash is not None and min(self.squash) < 1):
            raise InputRefused(f"preprocessing: size {self.size} and squash {self.squash} must be positive")
        if self.squash is not None and not _fits(self.size, self.squash):
            raise InputRefused(f"preprocessing: a crop of {_by(self.size)} does not fit into {_by(self.squash)}")
        if not math.isfinite(self.scale) or self.scale == 0:
            raise InputRefused(f"preprocessing: scale {self.scale} is not a number that can be undone")
        mean = np.ascontiguousarray(self.mean, dtype=np.float32)
        if not (mean.ndim in (1, 3) and mean.shape[0] == CHANNELS[self.channels] and np.isfinite(mean).all()):
            raise InputRefused(f"preprocessing: a mean of shape {mean.shape} is none for {self.channels} input")
        if mean.ndim == 3 and self.squash is not None and mean.shape[1:] not in (self.squash, self.size):
            raise InputRefused(
                f"preprocessing: the mean image is {_by(mean.shape[1:])}, the picture it is subtracted from "
                f"{_by(self.squash)}; squash to the mean's size, or give one mean value per channel"
            )
        mean.setflags(write=False)
        object.__setattr__(self, "mean", mean)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Preprocess):
            return NotImplemented
        mine, its = ((s.size, s.squash, s.scale, s.channels) for s in (self, other))
        return mine == its and np.array_equal(self.mean, other.mean)

    @property
    def mean_values(self) -> np.ndarray:
        """One mean per channel (C, float32): the mean itself, or a mean image's average.

        What a network of any input size is fed with: replace(spec, mean=spec.mean_values, ...).
        """
        return self.mean if self.mean.ndim == 1 else self.mean.mean(axis=(1, 2), dtype=np.float64).astype("f4")

    def to_dict(self, mean_file: str | None = None) -> dict[str, Any]:
        """The JSON form, for a bundle, ONNX metadata or an engine's manifest.

        Mean values stand in it. A mean image is too big for that: it lies in `mean_file` beside the
        document (a bare name; whoever writes the document writes it too), and its shape and the SHA-256 of
        its float32 numbers stand here, so that the file may be a .binaryproto or an .npy.
        """
        mean: Any
        if self.mean.ndim == 1:
            mean = [float(value) for value in self.mean]
        elif mean_file is None or not _is_bare(mean_file):
            raise ValueError(f"a mean image needs the bare name of the file that holds it, not {mean_file!r}")
        else:
            mean = {"file": mean_file, "shape": list(self.mean.shape), "sha256": _digest(self.mean)}
        return {
            "size": list(self.size),
            "squash": list(self.squash) if self.squash else None,
            "channels": self.channels,
            "scale": self.scale,
            "mean": mean,
        }

    @classmethod
    def from_dict(cls, document: Any, read_mean: Callable[[str], np.ndarray] | None = None) -> Preprocess:
        """The inverse of `to_dict`; `read_mean` gives the C x H x W array in the file of that bare name.

        Raises:
            InputRefused: a key missing, unknown or of another type, or a mean image that is not the one
                the document was written with.
        """
        if not isinstance(document, Mapping) or set(document) != _KEYS:
            keys = sorted(document) if isinstance(document, Mapping) else document
            raise InputRefused(f"preprocessing: the keys {sorted(_KEYS)} are wanted, not {keys}")
        scale, squash = document["scale"], document["squash"]
        if not _is_number(scale):
            raise InputRefused(f"preprocessing: scale is {scale!r}, not a number")
        return cls(
            size=_size(document["size"], "size"),
            squash=None if squash is None else _size(squash, "squash"),
            mean=_mean(document["mean"], read_mean),
            scale=float(scale),
            channels=str(document["channels"]),
        )


def preprocess(image: np.ndarray, spec: Preprocess) -> np.ndarray:
    """The centre crop of `image`, H x W x 3 RGB (uint8, or float32 of 0..255), as a float32 blob C x H x W.

    The crop starts at floor((H - crop) / 2), as in Caffe's TEST phase.

    Raises:
        InputRefused: the picture is smaller than the crop, or of another size than the mean image.
    """
    pixels = _squashed(image, spec)
    return _crop(pixels, spec, *_centre(pixels, spec))


def ten_crops(image: np.ndarray, spec: Preprocess) -> np.ndarray:
    """The ten crops of `image` that Caffe's `oversample` averages over, float32 10 x C x H x W.

    Top left, top right, bottom left, bottom right, centre; then the same five mirrored left to right.

    Raises: as `preprocess`.
    """
    pixels = _squashed(image, spec)
    bottom, right = pixels.shape[0] - spec.size[0], pixels.shape[1] - spec.size[1]
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), _centre(pixels, spec)]
    crops = [_crop(pixels, spec, top, left, mirror) for mirror in (False, True) for top, left in corners]
    return np.stack(crops)


def deprocess(blob: np.ndarray, spec: Preprocess) -> np.ndarray:
    """The picture, H x W x 3 uint8 RGB, whose blob is `blob` (C x H x W): clipped to 0..255 and rounded.

    With mean values the blob may have any size; with a mean image it is the centre crop of `preprocess`.

    Raises:
        InputRefused: the blob's size does not fit the mean image.
    """
    mean = spec.mean[:, None, None] if spec.mean.ndim == 1 else spec.mean
    if spec.mean.ndim == 3:
        if blob.shape[1:] != spec.size:
            raise InputRefused(f"a blob of {_by(blob.shape[1:])} has no place in a mean image: use mean values")
        top, left = ((mean.shape[axis + 1] - spec.size[axis]) // 2 for axis in (0, 1))
        mean = mean[:, top : top + spec.size[0], left : left + spec.size[1]]
    pixels = np.rint(blob / np.float32(spec.scale) + mean).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    if spec.channels == "BGR":
        pixels = pixels[:, :, ::-1]
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _squashed(image: np.ndarray, spec: Preprocess) -> np.ndarray:
    """The picture at its full size before the crop, H x W x C in the order of spec.channels."""
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an H x W x 3 picture is wanted, not {image.shape}")
    pixels = _grey(image) if spec.channels == "GREY" else image
    if spec.squash is not None and pixels.shape[:2] != spec.squash:
        pixels = resize_bilinear(pixels, *spec.squash)
    height, width = pixels.shape[:2]
    if not _fits(spec.size, (height, width)):
        raise InputRefused(f"a picture of {_by((height, width))} holds no crop of {_by(spec.size)}; squash it")
    if spec.mean.ndim == 3 and spec.mean.shape[1:] not in ((height, width), spec.size):
        raise InputRefused(f"the picture is {_by((height, width))}, its mean image {_by(spec.mean.shape[1:])}")
    return pixels[:, :, ::-1] if spec.channels == "BGR" else pixels


def _crop(pixels: np.ndarray, spec: Preprocess, top: int, left: int, mirror: bool = False) -> np.ndarray:
    rows, columns = slice(top, top + spec.size[0]), slice(left, left + spec.size[1])
    step = -1 if mirror else 1
    mean = spec.mean[:, None, None] if spec.mean.ndim == 1 else spec.mean
    if mean.shape[1:] == pixels.shape[:2]:
        mean = mean[:, rows, columns][:, :, ::step]
    blob = pixels[rows, columns][:, ::step].transpose(2, 0, 1) - mean  # C x H x W float32
    return blob if spec.scale == 1 else blob * np.float32(spec.scale)


def _centre(pixels: np.ndarray, spec: Preprocess) -> tuple[int, int]:
    return (pixels.shape[0] - spec.size[0]) // 2, (pixels.shape[1] - spec.size[1]) // 2


def _grey(image: np.ndarray) -> np.ndarray:
    """Luminance by ITU-R BT.601, H x W x 1 of the same type: what a greyscale loader makes of a picture."""
    grey = image @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return (np.rint(grey) if image.dtype == np.uint8 else grey).astype(image.dtype)[:, :, None]


def _mean(entry: Any, read_mean: Callable[[str], np.ndarray] | None) -> np.ndarray:
    if isinstance(entry, list) and all(_is_number(value) for value in entry):
        return np.array(entry, dtype=np.float32)
    if not isinstance(entry, Mapping) or set(entry) != {"file", "shape", "sha256"}:
        raise InputRefused(f"preprocessing: mean is {entry!r}; values, or file, shape and sha256, are wanted")
    name = entry["file"]
    if not isinstance(name, str) or not _is_bare(name):
        raise InputRefused(f"preprocessing: the mean image's file {name!r} is not a bare name")
    if read_mean is None:
        raise InputRefused(f"preprocessing: the mean image {name} is not at hand here")
    mean = np.ascontiguousarray(read_mean(name), dtype=np.float32)
    if list(mean.shape) != entry["shape"] or _digest(mean) != entry["sha256"]:
        raise InputRefused(f"{name}: is not the mean image that the network was trained with (shape or SHA-256)")
    return mean


def _size(entry: Any, key: str) -> Size:
    if isinstance(entry, list) and len(entry) == 2 and all(type(side) is int for side in entry):
        return cast(Size, tuple(entry))
    raise InputRefused(f"preprocessing: {key} is {entry!r}, not [height, width]")


def _digest(mean: np.ndarray) -> str:
    return sha256(np.ascontiguousarray(mean, dtype="<f4").tobytes())


def _is_bare(name: str) -> bool:
    return name not in ("", "..") and PurePath(name).name == name and "\\" not in name


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fits(inner: Size, outer: Size) -> bool:
    return inner[0] <= outer[0] and inner[1] <= outer[1]


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in size)
