from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.bench.slow import LIMITS
from trtdream.bench.graphs import graph_of, random_model
from trtdream.bench.limits import Bound
from trtdream.bench.onnx_work import FileWork, works_of
from trtdream.bench.work import Work
from trtdream.export.precision import Precision
from trtdream.net import zoo
from trtdream.net.shapes import infer_shapes


def written(path: Path, kind: type[np.floating] = np.float32) -> Path:
    """A grouped convolution, ReLU, an inner product with its first operand turned; the batch is open."""
    weights = {"w": (6, 2, 3, 3), "v": (7, 5)}
    onnx_type = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    x = helper.make_tensor_value_info("x", onnx_type, ("N", 4, 8, 8))
    z = helper.make_tensor_value_info("z", onnx_type, (7, 3))
    y = helper.make_tensor_value_info("y", onnx_type, ("N", 6, 6, 6))
    out = helper.make_tensor_value_info("out", onnx_type, (3, 5))
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", group=2),
        helper.make_node("Relu", ["c"], ["y"], name="relu"),
        helper.make_node("Gemm", ["z", "v"], ["out"], name="ip", transA=1),
    ]
    made = [numpy_helper.from_array(np.zeros(shape, kind), name) for name, shape in weights.items()]
    graph = helper.make_graph(nodes, "g", [x, z], [y, out], made)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_by_hand(tmp_path: Path) -> None:
    """Batch 2: 2 x 6 x 6 x 6 places of 2 x 3 x 3 products; 3 x 5 of 7."""
    found = FileWork(written(tmp_path / "a.onnx"), 2)
    conv = Work(2 * 2 * 6 * 6 * 6 * 18, 4 * (2 * 4 * 64 + 6 * 18 + 2 * 216))
    assert found.works == [conv, Work(2 * 15 * 7, 4 * (21 + 35 + 15))]
    assert found.precision is Precision.FP32
    least_ms = sum(max(work.flops / 1e11, work.bytes / 1e10, 1e-6) for work in found.works) * 1e3
    assert found.bound(1.0, LIMITS) == Bound("call", pytest.approx(least_ms))


def test_a_half(tmp_path: Path) -> None:
    found = FileWork(written(tmp_path / "a.onnx", np.float16), 2)
    assert found.precision is Precision.FP16
    assert found.works[1].bytes == 2 * (21 + 35 + 15)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_the_networks_own(precision: Precision, tmp_path: Path) -> None:
    """What is exported has the network's multiply-adds, and LRN's two bands of C x C beside them."""
    model = random_model(zoo.build("googlenet"))
    path = tmp_path / "a.onnx"
    onnx.save(graph_of(model, precision, 2), path)
    found = FileWork(path, 2)
    layers = infer_shapes(model.graph, {"data": (2, 3, 224, 224)})
    own = sum(shapes.macs for shapes in layers)
    bands = 2 * 56 * 56 * (64 * 64 + 192 * 192)
    assert found.precision is precision
    assert sum(work.flops for work in found.works) == 2 * (own + bands)


def test_shapes_that_are_not_known_count_for_nothing() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 4, "H", "W"))
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["c"])], "g", [x], [])
    assert works_of(graph, 4) == []
