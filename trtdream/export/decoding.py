"""Many photographs decoded and squashed at once by DALI, for who classifies them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trtdream.console import say
from trtdream.data.decode import HUGE, DecodeFailed, Decoder, Geometry
from trtdream.errors import TrtdreamError
from trtdream.files import read_file
from trtdream.runtime.classify import IN_MEMORY, load_pictures
from trtdream.runtime.image import MIN_SIDE
from trtdream.runtime.preprocess import Preprocess

_JPEG, _END = b"\xff\xd8\xff", b"\xff\xd9"
_TAIL = 256  # bytes at a file's end among which its end mark is looked for
_NO_WINDOWS = np.empty((0, 4), np.float32)  # whole pictures are squashed


_MANY = 32  # pictures, from which on DALI's start is worth its while


def picture_loader(spec: Preprocess, count: int, device: str) -> PhotographLoader | None:
    """What loads `count` pictures fastest: DALI for many, None for one by one. Says why where DALI is missing."""
    if count < _MANY or spec.squash is None:
        return None
    try:
        return PhotographLoader(spec, IN_MEMORY, len(os.sched_getaffinity(0)), device.startswith("cuda"))
    except TrtdreamError as error:
        say(f"pictures are decoded one by one: {error}")
        return None


class PhotographLoader:
    """Loads JPEG files as `load_pictures` does, squashed already to what the preprocessing says, in DALI's threads.

    Pictures of the network's own input size stay as they are. What DALI would take otherwise than Pillow (other
    formats, both sizes at once, damaged files) goes to Pillow, which names what is wrong. DALI's pixels are within a
    grey level of Pillow's.
    """

    def __init__(self, spec: Preprocess, batch: int, threads: int, on_gpu: bool) -> None:
        """Raises TrtdreamError if DALI is not there, or the preprocessing does not squash."""
        import torch

        if spec.squash is None:
            raise TrtdreamError("pictures that are not squashed are decoded one by one")
        self._size, self._threads, self._batch = spec.size, threads, batch
        self._device = torch.device("cuda" if on_gpu else "cpu")
        self._squash, self._whole = Geometry(*spec.squash, "squash"), Geometry(*spec.size, "none")
        self._decoders = {self._squash: self._decoder(self._squash)}

    def __call__(self, paths: Sequence[Path]) -> list[np.ndarray]:
        """The pictures, each H x W x 3 uint8 RGB; `batch` of them at most.

        Raises: as `load_pictures`.
        """
        contents = [read_file(path) for path in paths]
        sizes = {_size(content) for content in contents}
        if None in sizes or (self._size in sizes and len(sizes) > 1):
            return load_pictures(paths)
        geometry = self._whole if self._size in sizes else self._squash
        decoder = self._decoders.pop(geometry, None) or self._decoder(geometry)
        decoder.submit([np.frombuffer(content, np.uint8) for content in contents], _NO_WINDOWS)
        try:
            pixels = decoder.fetch()
        except DecodeFailed:
            return load_pictures(paths)  # the decoder is dead, Pillow says of what
        self._decoders[geometry] = decoder
        return list(pixels.permute(0, 2, 3, 1).flip(-1).cpu().numpy())  # N x H x W x 3, RGB

    def _decoder(self, geometry: Geometry) -> Decoder:
        return Decoder(geometry, self._batch, self._threads, self._device)


def _size(content: bytes) -> tuple[int, int] | None:
    """Height and width of a whole JPEG that DALI may take; None for all else."""
    if not content.startswith(_JPEG) or _END not in content[-_TAIL:]:
        return None
    from nvidia import nvimgcodec

    try:
        stream = nvimgcodec.CodeStream(np.frombuffer(content, np.uint8))
        size = (int(stream.height), int(stream.width))
    except (RuntimeError, TypeError):
        return None
    return size if min(size) >= MIN_SIDE and size[0] * size[1] <= HUGE else None
