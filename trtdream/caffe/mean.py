"""Mean images: Caffe's .binaryproto and numpy's .npy."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from trtdream.caffe.messages import array_from_blob, fill_blob, message_class, parse
from trtdream.errors import InputRefused
from trtdream.files import read_file, write_file


def read_mean(path: Path) -> np.ndarray:
    """A mean as float32: C x H x W (BGR for three channels), or C values where the file holds one per channel.

    Raises:
        UsageError: no such file.
        InputRefused: it is no mean, or is cut short.
    """
    content = read_file(path)
    if content.startswith(b"\x93NUMPY"):
        try:
            mean = np.load(BytesIO(content), allow_pickle=False)
        except Exception as error:  # of a damaged header numpy lets out tokenizer and memory errors as well
            raise InputRefused(f"{path}: is no readable .npy array ({error})") from error
    else:
        mean = array_from_blob(parse("BlobProto", content, str(path)), str(path))
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim not in (1, 3) or mean.size == 0 or mean.dtype.kind not in "fiu":
        raise InputRefused(f"{path}: a mean is C x H x W or C numbers, this is {mean.dtype} of shape {mean.shape}")
    return mean.astype(np.float32)


def write_mean(path: Path, mean: np.ndarray) -> None:
    """Write a mean, C x H x W or C values: `.npy` by that suffix, else the .binaryproto of compute_image_mean.

    Caffe's tool gives a mean the four legacy dimensions 1 x C x H x W; C values become 1 x C x 1 x 1.
    """
    if path.suffix == ".npy":
        buffer = BytesIO()
        np.save(buffer, mean.astype(np.float32))
        write_file(path, buffer.getvalue())
        return
    blob = message_class("BlobProto")()
    fill_blob(blob, mean, legacy_shape=(1, *mean.shape, *[1] * (3 - mean.ndim)))
    write_file(path, blob.SerializeToString())
