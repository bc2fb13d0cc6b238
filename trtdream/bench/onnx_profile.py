"""A network layer by layer in ONNX Runtime, by its own profiler."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from trtdream.bench.clock import clock_for
from trtdream.bench.fused import Held, Names, rows_of_profile, sums
from trtdream.bench.graphs import graph_of, input_shape, noise, number_bytes, precision_of, random_model
from trtdream.bench.limits import Limits
from trtdream.bench.memory import peak_memory, restart_peak
from trtdream.bench.nettime import NetTime
from trtdream.bench.onnx_blocking import BLOCKED, profile_blocking
from trtdream.bench.onnx_events import read_profile
from trtdream.bench.timing import Repeats, Timing, repeat, timing_of
from trtdream.net.kind import Shape
from trtdream.net.net import Net
from trtdream.net.shapes import infer_shapes
from trtdream.runtime.runner_onnx import OnnxRunner

if TYPE_CHECKING:
    import onnx

_Measured = tuple[Timing, list[dict[str, float]], int | None]  # the whole, each run's profile, the memory's peak
_NUMBER = re.compile(r"_token_\d+$|_\d+$")


def time_in_onnxruntime(
    net: Net, batch: int | None, precision: str, repeats: Repeats, limits: Limits, device: str = "cpu"
) -> NetTime:
    """Measure the deploy network whole, and layer by layer with the profiler, whose cost is in the rows only.

    On the CPU in turns. Of a GPU's kernels the profiler tells how long the host took to launch them: there it runs in a
    process of its own, in which a launch waits for its kernel (see `onnx_blocking`).

    Raises:
        UsageError: an unknown precision.
        InputRefused: a network with several inputs, or one that ONNX Runtime refuses.
        TrtdreamError: ONNX Runtime cannot use the GPU.
    """
    chosen, model = precision_of(precision), random_model(net)
    shape = input_shape(model, batch)
    graph = graph_of(model, chosen, shape[0])
    measure = _in_turns if device == "cpu" else _apart
    whole, profiles, peak = measure(graph, shape, repeats, device)
    held = _holding(Names(graph.graph, list(model.graph.layers)), profiles)
    runs = [sums(profile, held.__getitem__) for profile in profiles]
    timings = {key: timing_of([run.get(key, 0.0) for run in runs], whole.warm_up, whole.settled) for key in runs[0]}
    layers = infer_shapes(model.graph, {model.graph.inputs[0]: shape})
    rows = rows_of_profile(timings, layers, precision, number_bytes(chosen), limits)
    added_up = {"forward": timing_of([sum(run.values()) for run in runs], whole.warm_up, whole.settled)}
    return NetTime(rows, whole, None, added_up, shape[0], peak, note="" if device == "cpu" else BLOCKED)


def _in_turns(graph: onnx.ModelProto, shape: Shape, repeats: Repeats, device: str) -> _Measured:
    data = noise(shape)
    restart_peak(device)
    with OnnxRunner(graph, device) as run, TemporaryDirectory() as folder:
        run(data)
        peak = peak_memory(device)
        with OnnxRunner(graph, device, profile=Path(folder) / "profile") as profiled:

            def once() -> dict[str, float]:
                start = time.perf_counter()
                run(data)
                end = time.perf_counter()
                profiled(data)
                return {"": (end - start) * 1e3}

            whole = repeat(once, repeats)[""]
            profiles = read_profile(profiled.end_profiling())
    return whole, profiles[-whole.runs :], peak


def _apart(graph: onnx.ModelProto, shape: Shape, repeats: Repeats, device: str) -> _Measured:
    """Tensors lie on the GPU. ONNX Runtime's memory there is not torch's, so its peak is not known."""
    import torch

    data, clock = torch.from_numpy(noise(shape)).to(device), clock_for(device)
    with OnnxRunner(graph, device) as run:

        def once() -> dict[str, float]:
            clock.wait()
            start = time.perf_counter()
            run(data)
            clock.wait()
            return {"": (time.perf_counter() - start) * 1e3}

        whole = repeat(once, repeats)[""]
    return whole, profile_blocking(graph, shape, device, whole.warm_up + whole.runs)[-whole.runs :], None


def _holding(names: Names, profiles: Sequence[dict[str, float]]) -> dict[str, Held]:
    """What each kernel is of; ONNX Runtime calls its own after their operator, with a number."""
    kernels = dict.fromkeys(kernel for profile in profiles for kernel in profile)
    layer_of = {kernel: names.layer(kernel.removeprefix("fused ")) for kernel in kernels}
    held = names.holders({layer for layer in layer_of.values() if layer})
    return {
        kernel: Held(held[layer]) if layer else Held(label=f"({_NUMBER.sub('', kernel)})")
        for kernel, layer in layer_of.items()
    }
