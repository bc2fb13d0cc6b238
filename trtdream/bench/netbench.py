"""`bench net` as asked for: which network, in which backend, and what cannot be refused at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from trtdream.bench.graphs import precision_of
from trtdream.bench.layers import time_layers
from trtdream.bench.limits import Limits
from trtdream.bench.nettime import NetTime
from trtdream.bench.precision import dtype_of
from trtdream.bench.results import Row
from trtdream.bench.subject import Setting, Subject, halving, input_shapes, net_for
from trtdream.bench.sweep import sweep_rows
from trtdream.bench.timing import Repeats
from trtdream.errors import UsageError
from trtdream.export.precision import Precision
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.net import Net

TORCH, ONNX_RUNTIME, TENSORRT = "torch", "onnxruntime", "tensorrt"
BACKENDS = (TORCH, ONNX_RUNTIME, TENSORRT)


@dataclass(frozen=True)
class NetRequest:
    """What to measure and how often; name is a NET, None for GoogLeNet."""

    name: str | None
    backend: str
    setting: Setting
    repeats: Repeats = field(default_factory=Repeats)

    @cached_property
    def net(self) -> Net:
        return net_for(self.name, self.setting.phase)

    @property
    def batch(self) -> int:
        """The first, which is halved if it does not fit."""
        if self.setting.batch is not None:
            return self.setting.batch
        graph = connect(self.net.for_phase(self.setting.phase))
        return next(iter(input_shapes(graph, self.setting).values()))[0]

    def checked(self) -> NetRequest:
        """Itself.

        Raises:
            UsageError: an unknown backend or precision, or options that the backend does not have.
            TrtdreamError: TensorRT without a GPU.
        """
        if self.backend not in BACKENDS:
            raise UsageError(f"--backend {self.backend}: is none of {', '.join(BACKENDS)}")
        if self.backend == TORCH:
            dtype_of(self.setting.precision)
            return self
        if precision_of(self.setting.precision) is Precision.TF32 and self.backend == ONNX_RUNTIME:
            raise UsageError("--precision tf32: is TensorRT's; ONNX Runtime computes float32 in float32 here")
        if self.setting.phase is Phase.TRAIN:
            raise UsageError(f"--phase TRAIN: {self.backend} has no backward pass; --phase TEST, or --backend torch")
        if self.setting.inputs:
            raise UsageError("--input: only --backend torch takes other shapes than the network's own; --batch does")
        if self.backend == TENSORRT:
            from trtdream.bench.tensorrt_profile import tensorrt_here

            tensorrt_here()
        return self

    def settings(self, batch: int) -> Mapping[str, Any]:
        """What a result says of it."""
        return {
            "network": self.net.name,
            "phase": str(self.setting.phase),
            "batch": batch,
            "precision": self.setting.precision,
            "backend": self.backend,
            "device": self.setting.device,
        }


def check_layers(request: NetRequest, names: Sequence[str]) -> None:
    """Raises UsageError if the network has no layer of a name; near ones are offered."""
    known = [layer.name for layer in request.net.for_phase(request.setting.phase).layers]
    for name in names:
        if name not in known:
            near = ", ".join(get_close_matches(name, known, 3)) or "`trtdream layers` lists them"
            raise UsageError(
                f"--layer {name}: {request.net.name} has none of that name in {request.setting.phase}: {near}"
            )


def time_net(request: NetRequest, limits: Limits) -> NetTime:
    """Measure, with half the batch where memory does not suffice.

    Raises:
        TrtdreamError: whatever the backend refuses.
    """
    return halving(request.batch, _timer(request, limits))


def sweep(request: NetRequest, most: int) -> list[Row]:
    """Throughput over batches up to `most`; torch's only."""
    return list(sweep_rows(request.net, request.setting, most)) if request.backend == TORCH else []


def _timer(request: NetRequest, limits: Limits) -> Callable[[int], NetTime]:
    setting, net = request.setting, request.net
    if request.backend == ONNX_RUNTIME:
        from trtdream.bench.onnx_profile import time_in_onnxruntime

        return lambda batch: time_in_onnxruntime(net, batch, setting.precision, request.repeats, limits, setting.device)
    if request.backend == TENSORRT:
        from trtdream.bench.tensorrt_profile import time_in_tensorrt

        return lambda batch: time_in_tensorrt(net, batch, setting.precision, request.repeats, limits)
    return lambda batch: time_layers(Subject(net, replace(setting, batch=batch)), request.repeats, limits)
