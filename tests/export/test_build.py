"""Building engines for real, with TensorRT-RTX, which needs no GPU for it; and builds that go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.export.models import ANY_BATCH, model_of, random_model
from tests.export.test_networks import PROB, TOWER
from trtdream.errors import TrtdreamError
from trtdream.export.build import Job, Limits, build_engine
from trtdream.export.build_worker import count_types, locked
from trtdream.export.calibrate import ranges
from trtdream.export.front import IMAGES
from trtdream.export.onnx_net import GraphOptions, onnx_from_model
from trtdream.export.precision import FORMS, Precision
from trtdream.export.quantise import quantisable, quantise, with_float_weights
from trtdream.export.sizes import Batch
from trtdream.net import zoo
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.shapes import infer_shapes
from trtdream.runtime.model import Model
from trtdream.runtime.open_model import bundled

USUAL = Batch(1, 8, 64)
TYPES = {"fp32": "FLOAT", "tf32": "FLOAT", "fp16": "HALF", "bf16": "BF16", "int8": "INT8", "fp8": "FP8"}


@pytest.fixture(scope="module", autouse=True)
def rtx() -> None:
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed")


@pytest.fixture(scope="module")
def caffenet() -> Model:
    """CaffeNet with small random weights: building asks for no others."""
    net, random = zoo.build("caffenet", 10), np.random.default_rng(0)
    shapes = infer_shapes(connect(net.for_phase(Phase.TEST)))
    weights = {
        layer.step.layer.name: tuple(0.01 * random.standard_normal(w.shape, np.float32) for w in layer.weights)
        for layer in shapes
        if layer.weights
    }
    return model_of(net, weights)


def save(made: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def job(made: onnx.ModelProto, folder: Path, precision: str = "fp32", batch: Batch = USUAL) -> Job:
    (given,) = made.graph.input
    sides = [d.dim_value for d in given.type.tensor_type.shape.dim][1:]
    shapes = {given.name: [[size, *sides] for size in (batch.least, batch.usual, batch.greatest)]}
    source, target = str(save(made, folder)), str(folder / "net.engine")
    return Job("TensorRT-RTX", source, target, precision, shapes, target="8.9")


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize(
    ("network", "batch"),
    [("googlenet", "8"), ("googlenet", "1:8:64"), pytest.param("caffenet", "1:8:64", marks=pytest.mark.full)],
)
def test_every_precision_builds(
    precision: Precision, batch: str, network: str, caffenet: Model, tmp_path: Path
) -> None:
    model, sizes = (bundled() if network == "googlenet" else caffenet), Batch.parse(batch)
    made = onnx_from_model(model, GraphOptions.for_precision(precision, sizes))
    if (kind := FORMS[precision].quantised) is not None:
        layers = quantisable(made)
        shape = [d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim][1:]
        made = quantise(made, kind, ranges(made, layers, np.full((8, *shape), 100, np.float32)), layers)
    types = build_engine(job(made, tmp_path, precision, sizes), Limits(120, 8))
    assert (tmp_path / "net.engine").stat().st_size > 1_000_000
    assert types[TYPES[precision]] > 20
    if precision in ("fp16", "bf16"):
        assert types["FLOAT"] <= 4  # input, softmax, output


def test_float_weights_behind_a_pair_build_too(tmp_path: Path) -> None:
    """The form that TensorRT 8.6 gets."""
    made = onnx_from_model(random_model(TOWER + PROB), GraphOptions.for_precision(Precision.INT8, USUAL))
    layers = quantisable(made)
    graph = quantise(made, "int8", ranges(made, layers, np.ones((8, 3, 29, 31), np.float32)), layers)
    types = build_engine(job(with_float_weights(graph), tmp_path, "int8"), Limits(120, 8))
    assert types["INT8"] >= 5


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_pictures_in_and_features_out_build(precision: str, tmp_path: Path) -> None:
    options = GraphOptions.for_precision(
        Precision(precision), Batch(1, 8, 64), ["inception_4c/output", "prob"], front=True
    )
    made = onnx_from_model(bundled(), options)
    assert made.graph.input[0].name == IMAGES
    types = build_engine(job(made, tmp_path, precision), Limits(120, 8))
    assert types[TYPES[precision]] > 100


def test_truncated_file(tmp_path: Path) -> None:
    made = job(onnx_from_model(random_model(TOWER + PROB), ANY_BATCH), tmp_path)
    source = Path(made.onnx)
    source.write_bytes(source.read_bytes()[:-200])
    with pytest.raises(TrtdreamError, match=r"net\.engine: TensorRT-RTX built no engine"):
        build_engine(made, Limits(60, 8))
    assert not Path(made.engine).exists()


def test_unsupported_operator_is_named(tmp_path: Path) -> None:
    node = helper.make_node("Unheard", ["x"], ["y"], name="strange", domain="nobody")
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4]) for name in "xy"]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("nobody", 1)]
    made = helper.make_model(helper.make_graph([node], "odd", info[:1], info[1:]), opset_imports=opsets, ir_version=8)
    with pytest.raises(TrtdreamError, match="Unheard"):
        build_engine(job(made, tmp_path), Limits(60, 8))


def test_limits_are_kept(tmp_path: Path) -> None:
    made = job(onnx_from_model(bundled(), ANY_BATCH), tmp_path)
    with pytest.raises(TrtdreamError, match=r"longer than 0\.2 s.*--build-time"):
        build_engine(made, Limits(0.2, 8))
    with pytest.raises(TrtdreamError, match=r"more than 0\.05.*--build-memory"):
        build_engine(made, Limits(60, 0.05))
    assert not Path(made.engine).exists()
    assert not _workers(os.getpid())


def test_a_killed_build_is_an_error_message(tmp_path: Path) -> None:
    made = replace(job(onnx_from_model(bundled(), ANY_BATCH), tmp_path), level=5)
    killed = threading.Event()

    def kill() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not killed.is_set():
            for pid in _workers(os.getpid()):
                os.kill(pid, signal.SIGKILL)
                killed.set()
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(TrtdreamError, match="ended by SIGKILL"):
        build_engine(made, Limits(60, 8))
    killer.join()
    assert killed.is_set() and not Path(made.engine).exists()


def test_an_engine_is_not_half_written_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's writing fails as on a full disk: /dev/full takes no byte."""
    made = job(onnx_from_model(random_model(TOWER + PROB), ANY_BATCH), tmp_path)
    earlier = Path(made.engine)
    earlier.write_bytes(b"an engine from before")

    class Full:
        def __init__(self, path: Path) -> None: ...
        def __enter__(self) -> Path:
            return Path("/dev/full")

        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setattr("trtdream.export.build.replacing", Full)
    with pytest.raises(TrtdreamError, match="No space left"):
        build_engine(made, Limits(60, 8))
    assert earlier.read_bytes() == b"an engine from before"


def test_two_builds_do_not_write_the_timing_cache_at_once(tmp_path: Path) -> None:
    cache = tmp_path / "timing" / "gpu.cache"
    code = (
        "import sys; from pathlib import Path; from trtdream.export.build_worker import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True)"
    )
    with locked(cache):
        other = subprocess.Popen([sys.executable, "-c", code, str(cache)], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=4)
    output, _ = other.communicate(timeout=30)
    assert output == "held\n"


def test_types_are_counted_from_the_inspectors_words() -> None:
    """As TensorRT 8.6, 10 and 11 write them."""
    layers = [
        {"Name": "a", "Outputs": [{"Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}]},
        {"Name": "b", "Outputs": [{"Format/Datatype": "Row major linear FP32"}]},
        {"Name": "c", "Outputs": [{"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}]},
        {"Name": "d", "Outputs": [{"Format/Datatype": "Half"}]},
        {"Name": "e", "Outputs": []},
        "only a name",
    ]
    assert count_types({"Layers": layers}) == {"FLOAT": 1, "HALF": 2, "INT8": 1}


def test_types_are_counted_where_the_inspector_tells_no_formats() -> None:
    """So it is with a dynamic batch; the layer is as TensorRT 8.6 tells it."""
    dynamic = [{"Format/Datatype": "N/A due to dynamic shapes"}]
    layers = [
        {"Name": "a", "Outputs": dynamic, "Weights": {"Type": "Int8", "Count": 13824}, "Bias": {"Type": "Float"}},
        {"Name": "b", "Outputs": dynamic, "Weights": {"Type": "Half", "Count": 9408}},
        {"Name": "c", "LayerType": "Reformat", "Outputs": dynamic},
    ]
    assert count_types({"Layers": layers}) == {"HALF": 1, "INT8": 1}


def _workers(parent: int) -> list[int]:
    """Process ids of this process's build workers."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or b"trtdream.export.build_worker" not in (entry / "cmdline").read_bytes():
                continue
            if (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(parent):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
