"""Sources of image files: read by threads, decoded by DALI, and what is done about a file that cannot be."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Literal

import numpy as np

from trtdream.console import say
from trtdream.data.decode import DecodeFailed, Decoder, Geometry, header_fault
from trtdream.data.sources import Source
from trtdream.errors import InputRefused, TrtdreamError

if TYPE_CHECKING:
    import torch

OnBad = Literal["stop", "skip"]


@dataclass
class _Request:
    wanted: np.ndarray  # N, the samples of the order
    windows: np.ndarray  # N x 4
    indices: np.ndarray  # N, the samples taken: those wanted, but for bad ones
    contents: list[np.ndarray]
    labels: np.ndarray


class Decoded:
    """Decodes the samples of a batch. Under `skip`, a bad sample's place is taken by the next good one of the set.

    Next in the source's own order, so that what is in a batch depends on nothing but the files.
    """

    def __init__(
        self,
        source: Source,
        geometry: Geometry,
        batch: int,
        threads: int,
        device: torch.device,
        on_bad: OnBad,
        known_bad: dict[int, str] | None = None,
    ) -> None:
        self._source = source
        self._geometry = geometry
        self._batch, self._threads, self._device = batch, threads, device
        self._on_bad = on_bad
        self._bad: dict[int, str] = dict(known_bad or {})
        self._open: deque[_Request] = deque()
        self._decoder = Decoder(geometry, batch, threads, device)
        self._pool = ThreadPoolExecutor(threads, "read")
        self._lock = Lock()

    @property
    def skipped(self) -> tuple[str, ...]:
        """The bad samples met so far, each with its reason."""
        return tuple(self._bad.values())

    def request(self, indices: np.ndarray, windows: np.ndarray) -> None:
        """Read a batch and start decoding it; at most two may be open."""
        request = self._read(indices, windows)
        self._open.append(request)
        self._decoder.submit(request.contents, windows)

    def fetch(self) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
        """The oldest batch: N x 3 x H x W uint8 on the device, valid until the next fetch; indices; labels."""
        while True:
            try:
                pixels = self._decoder.fetch()
            except DecodeFailed as error:
                self._recover(error)
            else:
                request = self._open.popleft()
                return pixels, request.indices, request.labels

    def drop(self) -> None:
        """Forget the batches that are open."""
        self._open.clear()
        self._decoder = Decoder(self._geometry, self._batch, self._threads, self._device)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, wanted: np.ndarray, windows: np.ndarray) -> _Request:
        found = list(self._pool.map(self._content, wanted))
        indices = np.array([index for index, _, _ in found], np.int64)
        labels = np.array([label for _, _, label in found], np.int64)
        return _Request(wanted, windows, indices, [content for _, content, _ in found], labels)

    def _content(self, wanted: np.int64) -> tuple[int, np.ndarray, int]:
        index = int(wanted)
        while True:
            index = self._next_good(index)
            try:
                content, label = self._source.content(index)
            except InputRefused as error:
                self._mark(index, str(error))
                continue
            fault = header_fault(content)
            if fault is None:
                return index, content, label
            self._mark(index, f"{self._source.name(index)}: cannot be decoded: {fault}")

    def _next_good(self, index: int) -> int:
        while index in self._bad:
            if len(self._bad) == len(self._source):
                raise InputRefused(f"{self._source.origin}: holds no sample that can be decoded")
            index = (index + 1) % len(self._source)
        return index

    def _mark(self, index: int, reason: str) -> None:
        if self._on_bad == "stop":
            raise InputRefused(
                f"{reason}. Take it out (`trtdream data scan` finds all such files), or set on_bad: skip"
            )
        with self._lock:
            if index in self._bad:
                return
            self._bad[index] = reason
            say(f"skipped: {reason} ({len(self._bad)} so far)")

    def _recover(self, error: DecodeFailed) -> None:
        failed = self._open[0]
        culprits = self._culprits(failed, np.arange(len(failed.indices)))
        if not culprits:
            raise TrtdreamError(f"{self._source.origin}: decoding failed, though each file decodes alone: {error}")
        for index in sorted({int(failed.indices[place]) for place in culprits}):
            self._mark(index, f"{self._source.name(index)}: cannot be decoded ({error})")
        self._decoder = Decoder(self._geometry, self._batch, self._threads, self._device)
        self._open = deque(self._read(request.wanted, request.windows) for request in self._open)
        for request in self._open:
            self._decoder.submit(request.contents, request.windows)

    def _culprits(self, request: _Request, places: np.ndarray) -> list[int]:
        """Those of `places` that cannot be decoded, by halving: DALI does not reliably say which."""
        decoder = Decoder(self._geometry, len(places), self._threads, self._device)
        decoder.submit([request.contents[place] for place in places], request.windows[places])
        try:
            decoder.fetch()
        except DecodeFailed:
            if len(places) == 1:
                return [int(places[0])]
            half = len(places) // 2
            return self._culprits(request, places[:half]) + self._culprits(request, places[half:])
        return []
