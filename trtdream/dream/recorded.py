"""An octave's step as one CUDA graph: recorded once, replayed for every step and every picture of that size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trtdream.dream.ascent import Ascent

_WARM_UP = 3  # steps run as they are, in which cuDNN picks its algorithms and constants reach the device


class RecordedAscent(Ascent):
    """`Ascent` without a launch a kernel: jitter, gradient, change and bounds are replayed with one.

    The jitter lies on the device, so that each replay rolls by another shift; what a step returns is a copy, for the
    next replay writes over it. All of a dream's graphs may share one pool of memory: they never run at once.
    """

    def record(self, pool: Any) -> None:
        """Record the step, on whatever picture is there. Nothing of it is kept: `begin` comes next.

        Raises:
            torch.OutOfMemoryError: the step does not fit into memory.
        """
        device = self.data.device
        self._shift = torch.zeros(2, dtype=torch.long, device=device)
        self.data.zero_()
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                self.shifted_step(self._shift)
        torch.cuda.current_stream(device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool, stream=stream):
            self._told = self.shifted_step(self._shift)

    def step(self, shift: tuple[int, int]) -> Tensor:
        for slot, pixels in zip(self._shift, shift, strict=True):
            slot.fill_(pixels)
        self._graph.replay()
        return self._told.clone()

    def shifted_step(self, shift: Tensor) -> Tensor:
        """`step` by a shift that lies on the device, two whole numbers."""
        right, down = shift[0], shift[1]
        score, gradient = self.engine(rolled_on_device(self.data, down, right))
        return self.climb(score, rolled_on_device(gradient, -down, -right))


def rolled_on_device(blob: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """`blob.roll((down, right), (2, 3))` by numbers that lie on the device."""
    rows = (torch.arange(blob.shape[2], device=blob.device) - down) % blob.shape[2]
    columns = (torch.arange(blob.shape[3], device=blob.device) - right) % blob.shape[3]
    return blob.index_select(2, rows).index_select(3, columns)
