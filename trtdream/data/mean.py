"""The mean image, as compute_image_mean makes it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trtdream.data.decoded import OnBad
from trtdream.data.onepass import one_pass, resized_shape
from trtdream.data.sources import Source
from trtdream.data.transform import Transform
from trtdream.errors import InputRefused


def mean_image(
    source: Source,
    transform: Transform,
    threads: int,
    on_bad: OnBad = "stop",
    advance: Callable[[int], None] = lambda _: None,
) -> np.ndarray:
    """The mean of all samples, C x H x W float32, BGR: exact integer sums, divided once.

    Caffe's tool adds up in float32, which is the same as long as no sum exceeds 2^24. Calls `advance` with counts done.

    Raises:
        InputRefused: a sample cannot be decoded and `on_bad` is stop, or none can.
    """
    total = np.zeros(resized_shape(source, transform), np.int64)
    count = 0
    for part in one_pass(source, transform, threads, on_bad=on_bad):
        total += part.pixels.sum(axis=0, dtype=np.uint32)
        count += len(part.indices)
        advance(len(part.indices) + len(part.left_out))
    if count == 0:
        raise InputRefused(f"{source.origin}: no sample could be decoded")
    return (total / count).astype(np.float32)
