"""The loader: one contract for all sources, from a position of the endless stream to a batch on the device."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from trtdream.data.decode import Geometry, windows
from trtdream.data.decoded import Decoded
from trtdream.data.feed import Batch, Feed
from trtdream.data.finish import Finish
from trtdream.data.order import Order
from trtdream.data.pixels import Gathered, Resident, check_uniform
from trtdream.data.scan import check_headers
from trtdream.data.sources import Source, check_labels, fingerprint
from trtdream.data.transform import Phase, Transform, colours, place
from trtdream.errors import InputRefused, UsageError

if TYPE_CHECKING:
    import torch


class _Supply(Protocol):
    @property
    def skipped(self) -> tuple[str, ...]: ...
    def request(self, indices: np.ndarray, windows: np.ndarray) -> None: ...
    def fetch(self) -> tuple[torch.Tensor, np.ndarray, np.ndarray]: ...
    def drop(self) -> None: ...
    def close(self) -> None: ...


class Loader:
    """Batches without end. Rules, each tested:

    * The global stream is epoch after epoch of the whole set; batch k is positions k * batch .. (k + 1) * batch - 1 of
      it. Batches are always full and may lie across the end of an epoch (Caffe's Data layer wraps the same way).
    * Of R ranks, rank r takes the r-th of R equal parts of each batch, so R ranks together see what one would.
    * What a batch holds depends on the files, the transform, the phase, the seed and the position only: not on threads,
      ranks, prefetching or a resume. `state_dict` is the position of the next batch that `next` will return.

    `waited` is the time in seconds that `next` has waited for data, in all. Use as a context manager, or `close`.
    """

    def __init__(self, source: Source, transform: Transform, feed: Feed) -> None:
        """Check everything that can be checked before the first batch.

        Raises:
            UsageError: settings that contradict each other, all named.
            InputRefused: bad files (`on_bad: stop`), labels outside the classes, a mean of another size.
        """
        import torch

        if source.stored == "pixels":
            transform = _as_stored(source, transform, feed.phase)
        if faults := transform.faults() + feed.faults():
            raise UsageError("; ".join(faults))
        if feed.world_size > 1 and (source.origin / "CURRENT").exists():
            raise UsageError(f"{source.origin}: a LevelDB can be opened by one process only: pack it first")
        if feed.classes is not None:
            check_labels(source, feed.classes)
        check_uniform(source, transform.crop)
        self.source, self.transform, self.feed = source, transform, feed
        self.waited = 0.0
        self._order = Order(len(source), feed.seed, feed.shuffle)
        self._device = torch.device(feed.device)
        self._share = feed.batch // feed.world_size
        self._position = 0
        self._worker: Thread | None = None
        self._bad: dict[int, str] = {}
        if source.stored == "encoded" and feed.check_files:
            self._bad = check_headers(source, feed.on_bad, feed.threads)
        self._supply = self._open_supply()
        self.picture_shape = source.shape or _decoded_shape(transform, feed.phase)  # C x H x W before the crop
        if self.picture_shape is not None:
            transform.mean(*self.picture_shape)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Samples that were left out under `on_bad: skip`, each with its reason."""
        return self._supply.skipped

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._worker is None:
            self._start()
        started = time.perf_counter()
        made = self._ready.get()
        self.waited += time.perf_counter() - started
        if isinstance(made, BaseException):
            self._stop()
            raise made
        batch, finished = made
        if finished is not None:
            _take_over(batch, finished)
        self._position += self.feed.batch
        return batch

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on with the very next batch: numbers and one hash."""
        return {"position": self._position, "seed": self.feed.seed, "shuffle": self.feed.shuffle, "source": self._hash}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken. Threads, ranks, batch and device may differ.

        Raises:
            InputRefused: the state is of another data set, seed or order.
        """
        mine = self.state_dict()
        differ = [key for key in ("seed", "shuffle", "source") if state.get(key) != mine[key]]
        if differ:
            raise InputRefused(
                f"{self.source.origin}: the data position is of another {' and '.join(differ)}: resume with what the "
                "run was started with"
            )
        self._stop()
        self._position = int(state["position"])

    def close(self) -> None:
        """Stop the threads; no further batch can be taken."""
        self._stop()
        self._supply.close()

    @cached_property
    def _hash(self) -> str:
        return fingerprint(self.source)

    def _open_supply(self) -> _Supply:
        feed, source = self.feed, self.source
        if source.stored == "encoded" and feed.cache == "none":
            geometry = Geometry.of(self.transform, feed.phase)
            return Decoded(source, geometry, self._share, feed.threads, self._device, feed.on_bad, self._bad)
        if feed.cache == "gpu":
            return Resident(source, feed.threads, self._device)
        return Gathered(source, self._share, feed.threads, self._device)

    def _start(self) -> None:
        self._ready: Queue[Any] = Queue(self.feed.ahead)
        self._halt = Event()
        arguments = (self._position, self._ready, self._halt)
        self._worker = Thread(target=self._work, args=arguments, name="trtdream-data", daemon=True)
        self._worker.start()

    def _stop(self) -> None:
        """End the worker and forget what it had prepared."""
        if self._worker is None:
            return
        self._halt.set()
        while self._worker.is_alive():
            try:
                self._ready.get(timeout=0.05)
            except Empty:
                continue
        self._worker = None
        self._supply.drop()

    def _work(self, position: int, ready: Queue[Any], halt: Event) -> None:
        try:
            for made in self._batches(position):
                if not _put(ready, made, halt):
                    return
        except BaseException as error:
            _put(ready, error, halt)

    def _batches(self, position: int) -> Iterator[tuple[Batch, Any]]:
        import torch

        on_gpu = self._device.type == "cuda"
        stream = torch.cuda.Stream(self._device) if on_gpu else None
        asked: deque[np.ndarray] = deque()
        with torch.cuda.stream(stream) if on_gpu else nullcontext():
            while True:
                while len(asked) < 2:  # one batch is decoded or copied while the one before it is finished
                    first = position + self.feed.rank * self._share
                    positions = np.arange(first, first + self._share)
                    self._supply.request(self._order.indices(positions), self._windows(positions))
                    asked.append(positions)
                    position += self.feed.batch
                batch = self._finished(asked.popleft())
                yield batch, stream.record_event() if stream is not None else None

    def _windows(self, positions: np.ndarray) -> np.ndarray:
        return windows(self.transform, self.feed.phase, self.feed.seed, positions)

    def _finished(self, positions: np.ndarray) -> Batch:
        import torch

        feed, transform = self.feed, self.transform
        pixels, indices, labels = self._supply.fetch()
        self._check(indices, labels)
        _, channels, height, width = pixels.shape
        self.picture_shape = (channels, height, width)
        placement = place(transform, feed.phase, feed.seed, positions, height, width)
        factors = colours(transform, feed.phase, feed.seed, positions)
        data = self._finish((channels, height, width))(pixels, placement, factors)
        if feed.channels_last:
            data = data.contiguous(memory_format=torch.channels_last)
        label = torch.from_numpy(labels)
        if self._device.type == "cuda":
            label = label.pin_memory().to(self._device, non_blocking=True)
        return Batch(data, label, int(positions[0]), indices)

    def _finish(self, shape: tuple[int, int, int]) -> Finish:
        import torch

        if shape not in self._finishers:
            self._finishers[shape] = Finish(self.transform, shape, self._device, getattr(torch, self.feed.dtype))
        return self._finishers[shape]

    @cached_property
    def _finishers(self) -> dict[tuple[int, int, int], Finish]:
        return {}

    def _check(self, indices: np.ndarray, labels: np.ndarray) -> None:
        if self.feed.classes is None:
            return
        wrong = np.flatnonzero((labels < 0) | (labels >= self.feed.classes))
        if len(wrong):
            name = self.source.name(int(indices[wrong[0]]))
            raise InputRefused(
                f"{self.source.origin}: the label {labels[wrong[0]]} of {name} is outside 0..{self.feed.classes - 1}: "
                f"the net has {self.feed.classes} classes"
            )


def _as_stored(source: Source, transform: Transform, phase: Phase) -> Transform:
    """The transform for a source of pixels, whose size is what it is."""
    if transform.random_area is not None and phase == "TRAIN":
        raise UsageError(
            f"{source.origin}: random_area needs the files themselves: packed and raw pictures have one size already"
        )
    return replace(transform, resize="none", random_area=None)


def _decoded_shape(transform: Transform, phase: Phase) -> tuple[int, int, int] | None:
    geometry = Geometry.of(transform, phase)
    return None if geometry.kind == "none" else (3, geometry.height, geometry.width)


def _take_over(batch: Batch, finished: Any) -> None:
    """Make the caller's CUDA stream wait for the batch, and keep its memory until the caller's work is done."""
    import torch

    current = torch.cuda.current_stream(batch.data.device)
    current.wait_event(finished)
    batch.data.record_stream(current)
    batch.label.record_stream(current)


def _put(ready: Queue[Any], made: Any, halt: Event) -> bool:
    while not halt.is_set():
        try:
            ready.put(made, timeout=0.1)
        except Full:
            continue
        return True
    return False
