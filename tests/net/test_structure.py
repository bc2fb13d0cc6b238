"""Layer names, blob lists, shapes, parameters and work of BVLC's networks, against real Caffe's own."""

import json
from pathlib import Path

import pytest

from trtdream.caffe.prototxt import read_prototxt
from trtdream.net import zoo
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.shapes import infer_shapes
from trtdream.net.splits import blob_list, insert_splits


@pytest.mark.parametrize("name", ["caffenet", "alexnet", "googlenet"])
@pytest.mark.parametrize("phase", list(Phase))
def test_train_val(truth: Path, name: str, phase: Phase) -> None:
    told = json.loads((truth / f"structure/{name}_{phase}.json").read_text())
    net = zoo.build(name, deploy=False).for_phase(phase)
    split = insert_splits(net)
    assert [layer.name for layer in split.layers] == told["layer_names"]
    assert [layer.kind.type_name for layer in split.layers][1:] == told["layer_types"][1:]
    assert {layer.name: list(layer.tops) for layer in split.layers} == told["top_names"]
    assert {layer.name: list(layer.bottoms) for layer in split.layers} == told["bottom_names"]
    assert blob_list(net) == told["blob_names"]
    graph = connect(net)
    assert list(graph.outputs) == told["outputs_in_log_order"]
    crop = told["blob_shapes"]["data"][2]
    shapes = infer_shapes(graph, {"data": (1, 3, crop, crop), "label": (1,)})
    found = {top: list(s) for each in shapes for top, s in zip(each.step.layer.tops, each.tops, strict=True)}
    assert found == {blob: told["blob_shapes"][blob] for blob in found}
    assert sum(each.parameters for each in shapes) == told["n_params"]
    weights = {each.step.layer.name: [list(w.shape) for w in each.weights] for each in shapes if each.weights}
    assert weights == told["params"]
    losses = {
        top: each.step.layer.loss_weight_of(index)
        for each in shapes
        for index, top in enumerate(each.step.writes)
        if each.step.layer.loss_weight_of(index)
    }
    assert losses == pytest.approx(told["loss_weights"])


def test_the_classic_list(truth: Path) -> None:
    """0000 data .. 0120 prob, from BVLC's file and from our zoo."""
    wanted = [line.split()[1] for line in (truth / "nets/googlenet_blob_list.txt").read_text().splitlines()]
    assert wanted[68] == "inception_4c/output"
    assert blob_list(read_prototxt(truth / "nets/googlenet_deploy_b1.prototxt").for_phase(Phase.TEST)) == wanted
    assert blob_list(zoo.build("googlenet").for_phase(Phase.TEST)) == wanted


@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    [
        ("caffenet", 724_406_816, 60_965_224),
        ("alexnet", 724_406_816, 60_965_224),
        ("googlenet", 1_582_671_872, 6_998_552),
    ],
)
def test_work(name: str, macs: int, parameters: int) -> None:
    """Published figures of the three networks."""
    shapes = infer_shapes(connect(zoo.build(name).for_phase(Phase.TEST)))
    assert sum(each.parameters for each in shapes) == parameters
    assert sum(each.macs for each in shapes) == pytest.approx(macs, rel=1e-3)


@pytest.mark.parametrize("classes", [1, 10, 1000])
def test_any_number_of_classes(classes: int) -> None:
    for name in zoo.ZOO:
        shapes = infer_shapes(connect(zoo.build(name, classes).for_phase(Phase.TEST)))
        assert shapes[-1].tops == ((1, classes),)
