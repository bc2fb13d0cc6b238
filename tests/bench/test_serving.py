from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.bench.slow import LIMITS
from trtdream.bench.exported import inputs_for
from trtdream.bench.serving import COPIES, NO_COPIES, Load, _race, time_serving
from trtdream.bench.timing import Repeats
from trtdream.errors import InputRefused, UsageError

QUICK = Load(threads=(1, 2), seconds=0.05, repeats=Repeats(runs=3, warm_up=1))


def write(path: Path, shape: tuple[int | str, ...]) -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("data", "out"))
    graph = helper.make_graph([helper.make_node("Relu", ["data"], ["out"], name="relu")], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_rows(tmp_path: Path) -> None:
    """Cold start in a process of its own, latency, both numbers of threads; why there is no run without copies."""
    rows = list(time_serving(write(tmp_path / "a.onnx", ("N", 3, 4, 4)), "cpu", QUICK, lambda _: LIMITS))
    assert [(row.name, row.part) for row in rows] == [
        *(("cold start", part) for part in ("imports", "load", "first run", "first answer")),
        ("latency", COPIES),
        ("latency", NO_COPIES),
        ("1 thread", COPIES),
        ("2 threads", COPIES),
    ]
    cold = {row.part: row.timing.median_ms for row in rows[:4] if row.timing}
    assert cold["first answer"] >= max(cold["imports"], cold["load"], cold["first run"])
    assert "CPU" in rows[5].absent
    assert rows[6].extra["images_per_s"] > 0


def test_batch(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", ("N", 3, 4, 4))
    assert inputs_for(path, None)["data"].shape == (1, 3, 4, 4)
    assert inputs_for(path, 5)["data"].shape == (5, 3, 4, 4)
    fixed = write(tmp_path / "b.onnx", (2, 3, 4, 4))
    assert inputs_for(fixed, None)["data"].shape == inputs_for(fixed, 2)["data"].shape == (2, 3, 4, 4)
    with pytest.raises(UsageError, match=r"--batch 3: b\.onnx was made for 2"):
        inputs_for(fixed, 3)


def test_what_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        list(time_serving(tmp_path / "none.onnx", "cpu", QUICK, lambda _: LIMITS))
    text = tmp_path / "a.txt"
    text.write_text("text")
    with pytest.raises(UsageError, match=r"neither \.onnx nor \.engine"):
        list(time_serving(text, "cpu", QUICK, lambda _: LIMITS))
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    with pytest.raises(InputRefused, match="no ONNX model"):
        list(time_serving(broken, "cpu", QUICK, lambda _: LIMITS))
    with pytest.raises(InputRefused, match="open axes"):
        inputs_for(write(tmp_path / "open.onnx", ("N", 3, "H", "W")), None)
    alone = tmp_path / "a.engine"
    alone.write_bytes(b"plan")
    with pytest.raises(InputRefused, match="no manifest"):
        list(time_serving(alone, "cpu", QUICK, lambda _: LIMITS))


class Sleeper:
    """A runner that takes a known time, in any number of threads."""

    def __call__(self, batch: object) -> object:
        time.sleep(0.02)
        return batch


def test_threads_run_beside_each_other() -> None:
    """Four sleepers do four times what one does, each no faster."""
    data = {"data": np.zeros(1, np.float32)}
    alone, seconds = _race([Sleeper()], data, 0.3)  # type: ignore[list-item]
    four, seconds_of_four = _race([Sleeper()] * 4, data, 0.3)  # type: ignore[list-item]
    assert min(alone + four) >= 20
    assert len(four) / seconds_of_four > 2 * len(alone) / seconds
