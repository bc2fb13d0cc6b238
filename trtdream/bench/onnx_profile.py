"""A network layer by layer in ONNX Runtime, by its own profiler."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from trtdream.bench.fused import Held, Names, rows_of_profile, sums
from trtdream.bench.graphs import graph_of, input_shape, noise, number_bytes, precision_of, random_model
from trtdream.bench.limits import Limits
from trtdream.bench.memory import peak_memory, restart_peak
from trtdream.bench.nettime import NetTime
from trtdream.bench.timing import Repeats, repeat, timing_of
from trtdream.net.net import Net
from trtdream.net.shapes import infer_shapes
from trtdream.runtime.runner_onnx import OnnxRunner, for_cpu

if TYPE_CHECKING:
    import onnx

_MARK = "_kernel_time"
_NUMBER = re.compile(r"_token_\d+$|_\d+$")


def time_in_onnxruntime(net: Net, batch: int | None, precision: str, repeats: Repeats, limits: Limits) -> NetTime:
    """Measure the deploy network: in turns whole, and layer by layer with the profiler, whose cost is in the rows only.

    On the CPU: of a GPU's kernels ONNX Runtime's profiler tells only how long the host took to launch them.

    Raises:
        UsageError: an unknown precision.
        InputRefused: a network with several inputs, or one that ONNX Runtime refuses.
    """
    chosen, model = precision_of(precision), random_model(net)
    shape = input_shape(model, batch)
    graph, data = graph_of(model, chosen, shape[0]), noise(shape)
    restart_peak("cpu")
    with OnnxRunner(graph) as run, TemporaryDirectory() as folder:
        run(data)
        peak = peak_memory("cpu")
        profiled = _profiling_session(graph, Path(folder))

        def in_turns() -> dict[str, float]:
            start = time.perf_counter()
            run(data)
            end = time.perf_counter()
            profiled.run(None, {run.inputs[0]: data})
            return {"": (end - start) * 1e3}

        whole = repeat(in_turns, repeats)[""]
        events = json.loads(Path(profiled.end_profiling()).read_text())
    profiles = _by_run(events)[-whole.runs :]
    held = _holding(Names(graph.graph, list(model.graph.layers)), profiles)
    runs = [sums(profile, held.__getitem__) for profile in profiles]
    timings = {key: timing_of([run.get(key, 0.0) for run in runs], whole.warm_up, whole.settled) for key in runs[0]}
    layers = infer_shapes(model.graph, {model.graph.inputs[0]: shape})
    rows = rows_of_profile(timings, layers, precision, number_bytes(chosen), limits)
    added_up = {"forward": timing_of([sum(run.values()) for run in runs], whole.warm_up, whole.settled)}
    return NetTime(rows, whole, None, added_up, shape[0], peak)


def _profiling_session(graph: onnx.ModelProto, folder: Path) -> Any:
    """What `OnnxRunner` runs, with ONNX Runtime's profiler on."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    return onnxruntime.InferenceSession(for_cpu(graph, options), options, providers=["CPUExecutionProvider"])


def _by_run(events: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """Kernels belong to the run whose time theirs lies in; an event's `ts` and `dur` are microseconds."""
    spans = sorted((one["ts"], one["ts"] + one["dur"]) for one in events if one["name"] == "model_run")
    found: list[dict[str, float]] = [{} for _ in spans]
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith(_MARK):
            continue
        index = next((i for i, (start, end) in enumerate(spans) if start <= event["ts"] <= end), None)
        if index is not None:
            name = event["name"].removesuffix(_MARK)
            found[index][name] = found[index].get(name, 0.0) + event["dur"] / 1e3
    return found


def _holding(names: Names, profiles: Sequence[dict[str, float]]) -> dict[str, Held]:
    """What each kernel is of; ONNX Runtime calls its own after their operator, with a number."""
    kernels = dict.fromkeys(kernel for profile in profiles for kernel in profile)
    layer_of = {kernel: names.layer(kernel.removeprefix("fused ")) for kernel in kernels}
    held = names.holders({layer for layer in layer_of.values() if layer})
    return {
        kernel: Held(held[layer]) if layer else Held(label=f"({_NUMBER.sub('', kernel)})")
        for kernel, layer in layer_of.items()
    }
