from __future__ import annotations

import onnx
import pytest
from onnx import helper

from tests.bench.slow import LIMITS
from trtdream.bench.fused import Held, Names, group_work, rows_of_profile, sums
from trtdream.bench.subject import net_for
from trtdream.bench.timing import timing_of
from trtdream.bench.work import Work, forward_work
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.shapes import LayerShapes, infer_shapes

LAYERS = ["data", "conv1", "conv10", "conv1/relu", "norm", "drop"]


def graph(*nodes: tuple[str, str, str]) -> onnx.GraphProto:
    """Nodes of (name, input, output), in order."""
    made = [helper.make_node("Relu", [below], [above], name=name) for name, below, above in nodes]
    return helper.make_graph(made, "g", [], [])


NAMES = Names(
    graph(
        ("conv1", "data", "a"),
        ("conv1/relu", "a", "b"),
        ("norm/squares", "b", "c"),
        ("norm/scale", "c", "d"),
        ("norm", "d", "e"),
        ("drop", "e", "f"),
        ("conv10", "f", "g"),
    ),
    LAYERS,
)


@pytest.mark.parametrize(
    ("kernel", "layer"),
    [
        ("conv1", "conv1"),
        ("conv1_nchwc", "conv1"),
        ("conv10_nchwc", "conv10"),
        ("conv1/relu", "conv1/relu"),
        ("norm/scale_nchwc", "norm"),
        ("conv1_24", "conv1"),
        ("ReorderInput_token_3", None),
        ("convolution", None),
    ],
)
def test_layer_of_a_kernel(kernel: str, layer: str | None) -> None:
    assert NAMES.layer(kernel) == layer


@pytest.mark.parametrize(
    ("kernel", "layers"),
    [
        ("conv1 + conv1/relu", ("conv1", "conv1/relu")),
        ("Reformatting CopyNode for Input Tensor 0 to conv1", ("conv1",)),
        ("PWN(PWN(norm/squares), conv1/relu)", ("conv1/relu", "norm")),
        ("conv10", ("conv10",)),
        ("{ForeignNode[norm/squares...norm]}", ("norm",)),
        ("__myl_Move_0", ()),
    ],
)
def test_layers_in_what_tensorrt_calls_a_kernel(kernel: str, layers: tuple[str, ...]) -> None:
    assert NAMES.within(kernel) == layers


def test_what_never_ran_belongs_to_what_ran_before_it() -> None:
    """ReLU and Dropout were fused away; of norm something ran, so that it is a row of its own."""
    held = NAMES.holders({"conv1", "norm", "conv10"})
    assert held == {"conv1": ("conv1", "conv1/relu"), "norm": ("norm", "drop"), "conv10": ("conv10",)}


def test_kernels_of_one_layer_are_added() -> None:
    profile = {"norm/squares": 1.0, "norm/scale": 2.0, "reorder": 4.0}
    found = sums(profile, lambda kernel: Held(("norm",)) if kernel.startswith("norm") else Held(label="(reorder)"))
    assert found == {Held(("norm",)): 3.0, Held(label="(reorder)"): 4.0}


def caffenet() -> dict[str, LayerShapes]:
    layers = infer_shapes(connect(net_for("caffenet", Phase.TEST).for_phase(Phase.TEST)))
    return {shapes.step.layer.name: shapes for shapes in layers}


def test_what_fused_layers_pass_on_is_not_moved() -> None:
    """conv1 and relu1 as one read the picture and the weights, and write 96 x 55 x 55 numbers."""
    layers = caffenet()
    both = group_work([layers["conv1"], layers["relu1"]], 4)
    numbers = 3 * 227 * 227 + 96 * 55 * 55 + 96 * 363 + 96
    assert both == Work(2 * layers["conv1"].macs, 4 * numbers)
    assert group_work([layers["conv1"]], 4) == forward_work(layers["conv1"], 4)


def test_rows_are_in_the_networks_order_and_own_work_last() -> None:
    layers = caffenet()
    timings = {
        Held(label="(ReorderInput)"): timing_of([1.0]),
        Held(("pool1",)): timing_of([2.0]),
        Held(("conv1", "relu1")): timing_of([3.0]),
    }
    rows = rows_of_profile(timings, list(layers.values()), "float32", 4, LIMITS)
    assert [row.name for row in rows] == ["conv1 + relu1", "pool1", "(ReorderInput)"]
    assert [row.kind for row in rows] == ["Convolution + ReLU", "Pooling", ""]
    assert [row.holds for row in rows] == [("conv1", "relu1"), (), ()]
