"""Every sample of a source once, in its own order, decoded: what packing and the mean are made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trtdream.data.decode import Geometry, windows
from trtdream.data.decoded import Decoded, OnBad
from trtdream.data.pixels import Gathered
from trtdream.data.sources import Source
from trtdream.data.transform import Transform


@dataclass(frozen=True)
class Part:
    """Some samples of a source, without those that could not be decoded."""

    indices: np.ndarray  # N, int64
    labels: np.ndarray  # N, int64
    pixels: np.ndarray  # N x C x H x W, uint8, BGR; valid until the next part
    left_out: tuple[int, ...]


def resized_shape(source: Source, transform: Transform) -> tuple[int, int, int]:
    """C x H x W of what `one_pass` gives: a source of pixels stays as it is."""
    geometry = Geometry.of(transform, "TEST")
    return source.shape or (3, geometry.height, geometry.width)


def one_pass(
    source: Source,
    transform: Transform,
    threads: int,
    device: str = "cpu",
    on_bad: OnBad = "stop",
    within: range | None = None,
    batch: int = 128,
) -> Iterator[Part]:
    """Decode the samples of `source` (those `within`) to the transform's size, centred where it crops.

    Raises:
        InputRefused: a sample cannot be decoded, and `on_bad` is stop.
    """
    import torch

    wanted = within if within is not None else range(len(source))
    where = torch.device(device)
    supply: Decoded | Gathered
    if source.stored == "encoded":
        supply = Decoded(source, Geometry.of(transform, "TEST"), batch, threads, where, on_bad)
    else:
        supply = Gathered(source, batch, threads, where)
    chunks = [np.arange(start, min(start + batch, wanted.stop)) for start in range(wanted.start, wanted.stop, batch)]
    asked: deque[np.ndarray] = deque()
    try:
        for place in range(len(chunks) + 1):
            if place < len(chunks):
                chunk = chunks[place]
                supply.request(chunk, windows(transform, "TEST", 0, chunk))
                asked.append(chunk)
            if place > 0:
                yield _part(asked.popleft(), supply)
    finally:
        supply.close()


def _part(asked: np.ndarray, supply: Decoded | Gathered) -> Part:
    pixels, indices, labels = supply.fetch()
    kept = indices == asked  # where a bad sample was, another stands, which has or gets its own turn
    return Part(asked[kept], labels[kept], pixels.cpu().numpy()[kept], tuple(int(i) for i in asked[~kept]))
