"""Measuring on a GPU: its clock, its backends, the whole headline."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

from tests.bench.slow import LIMITS, slow_net
from tests.cli.command import run
from trtdream.bench.clock import clock_for
from trtdream.bench.graphs import graph_of, random_model
from trtdream.bench.layers import time_layers
from trtdream.bench.limits import limits_of
from trtdream.bench.onnx_blocking import BLOCKED
from trtdream.bench.onnx_profile import time_in_onnxruntime
from trtdream.bench.subject import Setting, Subject, halving, net_for
from trtdream.bench.tensorrt_profile import build_here, time_in_tensorrt
from trtdream.bench.timing import Repeats
from trtdream.errors import TrtdreamError
from trtdream.export.precision import Precision
from trtdream.net.kind import Phase
from trtdream.runtime.tensorrt import Library

pytestmark = pytest.mark.gpu
QUICK = Repeats(runs=5, warm_up=3)


def test_the_clock_counts_the_devices_time() -> None:
    """A kernel that spins for a known number of cycles is over for the host at once, for the clock it is not."""
    clock = clock_for("cuda")
    torch.cuda._sleep(1000)
    clock.wait()
    start = clock.mark()
    torch.cuda._sleep(10**8)  # at 2 GHz 50 ms, at any clock at least 20
    end = clock.mark()
    clock.wait()
    assert clock.between(start, end) > 20
    assert clock.issuing(start, end) < 20  # type: ignore[operator]


def test_a_slowed_layer_shows_in_its_row() -> None:
    """relu1 keeps the host asleep: the device waits for its next kernel, so that it is the longest row there too."""
    times = time_layers(Subject(slow_net(relu1=(0.05, 0.0)), Setting(device="cuda")), QUICK, LIMITS)
    found = {layer.name: layer.forward.timing.median_ms for layer in times.layers}
    assert max(found, key=found.__getitem__) == "relu1"
    assert any("launch-bound" in doubt for doubt in times.doubts)


def test_layers_add_up() -> None:
    times = time_layers(Subject(net_for("caffenet", Phase.TRAIN), Setting(device="cuda", batch=128)), QUICK, LIMITS)
    for part, whole in times.wholes.items():
        assert times.added_up[part].median_ms == pytest.approx(whole.median_ms, rel=0.1)


def test_limits() -> None:
    found = limits_of("cuda", again=True)
    assert found.bytes_per_s > 1e10
    assert found.flops_per_s["bfloat16"] > found.flops_per_s["float32"]
    assert found.flops_per_s["int8"] > 0
    capability = torch.cuda.get_device_capability()
    for precision, since in (("tf32", (8, 0)), ("fp8", (8, 9))):
        if capability >= since:
            assert found.flops_per_s[precision] > found.flops_per_s["float32"], found.absent
        else:
            assert found.absent[precision]
    assert not torch.backends.cuda.matmul.allow_tf32


def test_out_of_memory_is_halved(capsys: pytest.CaptureFixture[str]) -> None:
    """torch's own error for more than the GPU has; what the first attempt held is free again."""
    total = torch.cuda.get_device_properties(0).total_memory

    def work(batch: int) -> int:
        return torch.empty(total // 4 * batch, dtype=torch.uint8, device="cuda").numel() // (total // 4)

    assert halving(8, work) in (1, 2)
    assert "does not fit into memory" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["float32", "tf32", "float16", "int8"])
def test_tensorrt_by_our_names(library: Library, precision: str) -> None:
    """Every layer of CaffeNet that computes stands in some row, by Caffe's name."""
    net = net_for("caffenet", Phase.TEST)
    times = time_in_tensorrt(net, 4, precision, QUICK, LIMITS)
    held = {name for layer in times.layers for name in (layer.holds or (layer.name,))}
    assert {f"conv{n}" for n in range(1, 6)} | {"fc6", "fc7", "fc8"} <= held
    assert times.forward.median_ms > 0
    assert times.sum_of_medians("forward") > 0
    assert library.version


def test_onnxruntime_by_our_names() -> None:
    """Kernels are waited for: launches alone would take a small part of what CaffeNet takes at this batch."""
    try:
        times = time_in_onnxruntime(net_for("caffenet", Phase.TEST), 128, "float32", QUICK, LIMITS, "cuda")
    except (TrtdreamError, ImportError) as error:
        pytest.skip(f"ONNX Runtime does not use this GPU: {error}")
    held = {name for layer in times.layers for name in (layer.holds or (layer.name,))}
    assert {f"conv{n}" for n in range(1, 6)} | {"fc6", "fc7", "fc8"} <= held
    assert times.note == BLOCKED
    assert times.added_up["forward"].median_ms > 0.5 * times.forward.median_ms


def test_serving(library: Library, tmp_path: Path) -> None:
    from trtdream.bench.serving import Load, _latency, _on_device, _race
    from trtdream.runtime.runner_tensorrt import TensorRTRunner

    graph = graph_of(random_model(net_for("caffenet", Phase.TEST)), Precision.FP16, 2)
    engine = build_here(graph, Precision.FP16, library, tmp_path)
    data = {"data": np.zeros((2, 3, 227, 227), np.float32)}
    with TensorRTRunner(engine, trust=True) as runner:
        assert _latency(runner, data, "cpu", Load().repeats)[""].median_ms > 0
        on_gpu = _latency(runner, _on_device(data), "cuda", Load().repeats)
        assert on_gpu["issuing"].median_ms > 0
        for given in (data, _on_device(data)):
            latencies, seconds = _race([runner, runner.another()], given, 0.5)
            assert len(latencies) / seconds > 10


def test_headline(tmp_path: Path) -> None:
    """The published batches; the document is sound, and CaffeNet's ratios stand beside the K40's."""
    ran = run("bench", "--device", "cuda", "--json", tmp_path / "a.json")
    assert ran.code == 0, ran.err
    found = json.loads((tmp_path / "a.json").read_text())
    schema = json.loads((files("trtdream.bench") / "results.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(found)
    batches = {(row["name"], row["part"]): row.get("images") for row in found["rows"]}
    assert batches["caffenet", "step"] == batches["caffenet", "forward"] == 256
    assert batches["googlenet", "forward"] == 128
