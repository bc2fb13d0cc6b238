"""Sources of pixels: gathered from memory maps into pinned memory, or kept on the device as a whole."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from trtdream.data.sources import Source
from trtdream.errors import InputRefused, TrtdreamError, UsageError

if TYPE_CHECKING:
    import torch


class Gathered:
    """Copies the samples of a batch side by side with several threads, and to the device.

    Two buffers take turns: while one batch is on its way to the device, the next is gathered.
    """

    skipped: tuple[str, ...] = ()

    def __init__(self, source: Source, batch: int, threads: int, device: torch.device) -> None:
        import torch

        if source.shape is None:
            raise UsageError(f"{source.origin}: holds encoded files, not pixels")
        self._source = source
        self._device = device
        self._threads = threads
        pinned = device.type == "cuda"
        self._buffers = [torch.empty((batch, *source.shape), dtype=torch.uint8, pin_memory=pinned) for _ in range(2)]
        self._turns = cycle(range(2))
        self._left: list[Any] = [None, None]  # CUDA events: the buffer's copy to the device is done
        self._open: deque[tuple[int, np.ndarray, list[Future[list[int]]]]] = deque()
        self._pool = ThreadPoolExecutor(threads, "gather")

    def request(self, indices: np.ndarray, windows: np.ndarray) -> None:  # noqa: ARG002  nothing is resized
        """Start to gather a batch; at most two may be open."""
        turn = next(self._turns)
        if self._left[turn] is not None:
            self._left[turn].synchronize()
        parts = np.array_split(np.arange(len(indices)), min(self._threads, len(indices)))
        futures = [self._pool.submit(self._copy, indices, part, self._buffers[turn].numpy()) for part in parts]
        self._open.append((turn, indices, futures))

    def fetch(self) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
        """The oldest batch: N x C x H x W uint8 on the device, valid until the next request; indices; labels."""
        import torch

        turn, indices, futures = self._open.popleft()
        labels = np.array([label for future in futures for label in future.result()], np.int64)
        pixels = self._buffers[turn][: len(indices)]
        if self._device.type == "cuda":
            pixels = pixels.to(self._device, non_blocking=True)
            self._left[turn] = torch.cuda.current_stream(self._device).record_event()
        return pixels, indices, labels

    def drop(self) -> None:
        """Forget the batches that are open."""
        while self._open:
            for future in self._open.popleft()[2]:
                future.exception()

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _copy(self, indices: np.ndarray, part: np.ndarray, buffer: np.ndarray) -> list[int]:
        labels = []
        for i in part:
            pixels, label = self._source.content(int(indices[i]))
            np.copyto(buffer[i], pixels)  # lets go of the interpreter lock
            labels.append(label)
        return labels


class Resident:
    """Keeps the whole set on the device: a batch is one gather there, and nothing crosses the bus."""

    skipped: tuple[str, ...] = ()

    def __init__(self, source: Source, threads: int, device: torch.device) -> None:
        """Load everything.

        Raises:
            TrtdreamError: it does not fit.
        """
        import torch

        if source.shape is None:
            raise UsageError(f"{source.origin}: cache: gpu is for packed sets and raw databases; pack it first")
        count = len(source)
        size = count * int(np.prod(source.shape))
        if device.type == "cuda" and size > (free := torch.cuda.mem_get_info(device)[0]):
            raise TrtdreamError(
                f"{source.origin}: takes {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free on {device}: set cache: none"
            )
        self._pixels = torch.empty((count, *source.shape), dtype=torch.uint8, device=device)
        self._labels = np.empty(count, np.int64)
        self._open: deque[np.ndarray] = deque()
        loading = Gathered(source, 256, threads, device)
        try:
            for start in range(0, count, 256):
                indices = np.arange(start, min(start + 256, count))
                loading.request(indices, np.empty(0))
                part, _, self._labels[indices] = loading.fetch()
                self._pixels[start : start + len(indices)].copy_(part)
        finally:
            loading.close()

    def request(self, indices: np.ndarray, windows: np.ndarray) -> None:  # noqa: ARG002  nothing is resized
        """Note a batch."""
        self._open.append(indices)

    def fetch(self) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
        """The oldest batch: N x C x H x W uint8 on the device; indices; labels."""
        import torch

        indices = self._open.popleft()
        chosen = torch.from_numpy(indices)
        if self._pixels.device.type == "cuda":
            chosen = chosen.pin_memory().to(self._pixels.device, non_blocking=True)
        return self._pixels[chosen], indices, self._labels[indices]

    def drop(self) -> None:
        """Forget the batches that are open."""
        self._open.clear()

    def close(self) -> None:
        """Nothing runs."""


def check_uniform(source: Source, crop: int | None) -> None:
    """Raises InputRefused if a source of pixels is smaller than the crop."""
    if source.shape is not None and crop is not None and crop > min(source.shape[1:]):
        raise InputRefused(
            f"{source.origin}: holds pictures of {source.shape[2]} x {source.shape[1]}, the crop is {crop}"
        )
