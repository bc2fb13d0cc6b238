"""ONNX Runtime's profile: its events by run, and the process of its own that a GPU's kernels need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.slow import LIMITS, slow_net
from trtdream.bench import onnx_profile
from trtdream.bench.graphs import graph_of, random_model
from trtdream.bench.onnx_blocking import BLOCKED, profile_blocking
from trtdream.bench.onnx_events import read_profile
from trtdream.bench.timing import Repeats
from trtdream.errors import TrtdreamError
from trtdream.export.precision import Precision

SHAPE = (2, 3, 12, 12)
QUICK = Repeats(runs=3, warm_up=1)


def test_events_by_run(tmp_path: Path) -> None:
    """Microseconds; a node that runs twice counts twice, one outside any run not, nor what surrounds a kernel."""
    events = [
        {"cat": "Session", "name": "model_run", "ts": 100, "dur": 100},
        {"cat": "Node", "name": "conv1_kernel_time", "ts": 110, "dur": 40},
        {"cat": "Node", "name": "conv1_kernel_time", "ts": 150, "dur": 10},
        {"cat": "Node", "name": "conv1_fence_before", "ts": 105, "dur": 9},
        {"cat": "Session", "name": "model_run", "ts": 300, "dur": 50},
        {"cat": "Node", "name": "conv1_kernel_time", "ts": 310, "dur": 30},
        {"cat": "Node", "name": "conv1_kernel_time", "ts": 900, "dur": 30},
    ]
    (tmp_path / "profile.json").write_text(json.dumps(events))
    assert read_profile(tmp_path / "profile.json") == [{"conv1": pytest.approx(0.05)}, {"conv1": pytest.approx(0.03)}]


def test_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU a launch always waits: both ways find the same kernels, and the rows' note says what they are."""
    graph = graph_of(random_model(slow_net()), Precision.FP32, 2)
    _, in_turns, _ = onnx_profile._in_turns(graph, SHAPE, QUICK, "cpu")
    apart = profile_blocking(graph, SHAPE, "cpu", 4)
    assert len(apart) == 4
    assert set(apart[-1]) == set(in_turns[-1])
    assert all(milliseconds >= 0 for milliseconds in apart[-1].values())
    monkeypatch.setattr(onnx_profile, "_apart", lambda *_: onnx_profile._in_turns(graph, SHAPE, QUICK, "cpu"))
    times = onnx_profile.time_in_onnxruntime(slow_net(), 2, "float32", QUICK, LIMITS, "cuda")
    assert times.note == BLOCKED
    assert {name for layer in times.layers for name in layer.holds or (layer.name,)} >= {"conv1", "conv2"}


@pytest.mark.full
def test_one_that_fails_says_why() -> None:
    graph = graph_of(random_model(slow_net()), Precision.FP32, 2)
    with pytest.raises(TrtdreamError, match=r"its process failed: .*does not run with"):
        profile_blocking(graph, (2, 3, 5, 5), "cpu", 1)
