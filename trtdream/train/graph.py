"""The whole iteration as one CUDA graph: forward, losses, backward, update, replayed with one launch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trtdream.net.torch_module import TorchNet
from trtdream.train.rules import Rate, Update
from trtdream.train.step import Inputs, Outcome, Step

_WARM_UP = 3  # eager iterations, in which cuDNN chooses its algorithms and lazy buffers are made


class GraphStep(Step):
    """`Step`, recorded once and replayed.

    Batches are copied into inputs that stay in place, for the memory of a loader's batches moves; the learning rate is
    a scalar on the device. The first iterations run as they are, on the stream that is recorded later. What `run`
    returns is overwritten by the next `run`.
    """

    def __init__(self, net: TorchNet, update: Update, compiled: bool = False) -> None:
        super().__init__(net, update, compiled=compiled)
        if compiled:  # with the rate on the device nothing of it is ever compiled anew
            self._change = torch.compile(update.apply, dynamic=False)
        self._done = 0
        self._stream = torch.cuda.Stream(self.device)
        self._rate = torch.zeros((), device=self.device)
        self._inputs: list[Inputs] = []
        self._graph: torch.cuda.CUDAGraph | None = None
        self._outcome: Outcome | None = None

    def run(self, batches: Sequence[Inputs], rate: Rate) -> Outcome:
        self._take(batches, rate)
        if self._graph is not None:
            self._graph.replay()
            assert self._outcome is not None
            return self._outcome
        self._done += 1
        if self._done > _WARM_UP:
            return self._record()
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._stream):
            outcome = super().run(self._inputs, self._rate)
        torch.cuda.current_stream(self.device).wait_stream(self._stream)
        return outcome

    def _take(self, batches: Sequence[Inputs], rate: Rate) -> None:
        if not self._inputs:
            self._inputs = [Inputs({name: blob.clone() for name, blob in batch.blobs.items()}) for batch in batches]
        for static, batch in zip(self._inputs, batches, strict=True):
            for name, blob in batch.blobs.items():
                static.blobs[name].copy_(blob, non_blocking=True)
        self._rate.fill_(rate)

    def _record(self) -> Outcome:
        """Record an iteration and run it. Recording itself computes nothing."""
        self.update.forget_gradients()  # so that the gradients' memory is the graph's own
        self._graph = torch.cuda.CUDAGraph()
        # the loader's thread goes on allocating and copying meanwhile, which the mode "global" would call an error
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            self._outcome = super().run(self._inputs, self._rate)
        self._graph.replay()
        return self._outcome
