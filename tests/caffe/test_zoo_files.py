"""Files in the styles of Caffe's zoo: they are read, have the published sizes, and are written and read back equal."""

from pathlib import Path

import pytest
import torch

from tests.caffe import zoo_texts
from trtdream.caffe.prototxt import net_from_text, read_prototxt, text_from_net
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.net import Net
from trtdream.net.shapes import LayerShapes, infer_shapes
from trtdream.net.splits import blob_list
from trtdream.net.torch_module import TorchNet

ZOO = Path(__file__).parent / "zoo"
TEXTS = {
    "vgg16": zoo_texts.vgg16(v1=False),
    "vgg16 of 2014": zoo_texts.vgg16(v1=True),
    "resnet50": zoo_texts.resnet50(),
    "squeezenet": zoo_texts.squeezenet(),
    **{path.stem: path.read_text() for path in sorted(ZOO.glob("*.prototxt"))},
}


def shapes_of(net: Net, phase: Phase = Phase.TEST, **inputs: tuple[int, ...]) -> dict[str, LayerShapes]:
    return {each.step.layer.name: each for each in infer_shapes(connect(net.for_phase(phase)), inputs)}


def parameters(shapes: dict[str, LayerShapes]) -> int:
    return sum(each.parameters for each in shapes.values())


@pytest.mark.parametrize("name", TEXTS)
def test_written_and_read_back_equal(name: str) -> None:
    net = net_from_text(TEXTS[name], name)
    text = text_from_net(net)
    assert net_from_text(text, name) == net
    assert text_from_net(net_from_text(text, name)) == text


def test_vgg16() -> None:
    old, new = (net_from_text(TEXTS[name], name) for name in ("vgg16 of 2014", "vgg16"))
    assert old == new
    shapes = shapes_of(old, data=(1, 3, 224, 224))
    assert parameters(shapes) == 138_357_544
    assert sum(each.macs for each in shapes.values()) == 15_470_264_320
    assert shapes["pool5"].tops == ((1, 512, 7, 7),)
    assert shapes["prob"].tops == ((1, 1000),)
    assert [layer.name for layer in old.layers][:3] == ["input", "conv1_1", "relu1_1"]
    assert len(blob_list(old)) == 1 + 13 + 5 + 3 + 1


def test_resnet50() -> None:
    """25,557,032 as they are commonly counted, and here conv1's bias and BatchNorm's three statistics."""
    shapes = shapes_of(net_from_text(TEXTS["resnet50"], "resnet50"))
    kinds = {name: each.step.layer.kind.type_name for name, each in shapes.items()}
    assert list(kinds.values()).count("Convolution") == list(kinds.values()).count("BatchNorm") == 53
    statistics = sum(each.parameters for name, each in shapes.items() if kinds[name] == "BatchNorm")
    assert statistics == 2 * 26_560 + 53
    assert parameters(shapes) - statistics - 64 == 25_557_032
    assert [shapes[name].tops[0][1:] for name in ("pool1", "res2c", "res3d", "res4f", "res5c", "pool5")] == [
        *((64, 56, 56), (256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7), (2048, 1, 1))
    ]
    assert sum(each.macs for each in shapes.values()) == pytest.approx(3.86e9, rel=2e-3)


def test_squeezenet() -> None:
    shapes = shapes_of(net_from_text(TEXTS["squeezenet"], "squeezenet"))
    assert parameters(shapes) == 1_248_424
    names = ("conv1", "pool1", "pool4", "pool8", "conv10", "pool10")
    assert [shapes[name].tops[0][2] for name in names] == [111, 55, 27, 13, 15, 1]
    assert shapes["fire9/concat"].tops == ((1, 512, 13, 13),)


def test_network_in_network() -> None:
    net = read_prototxt(ZOO / "nin_imagenet_v1.prototxt")
    for phase, batch in ((Phase.TRAIN, 64), (Phase.TEST, 89)):
        shapes = shapes_of(net, phase)
        assert parameters(shapes) == 7_595_176
        assert shapes["data"].tops == ((batch, 3, 224, 224), (batch,))
        assert shapes["pool4"].tops == ((batch, 1000, 1, 1),)
        assert ("accuracy" in shapes, "loss" in shapes) == (phase is Phase.TEST, phase is Phase.TRAIN)
    data = net.layers[1].kind
    assert data.transform.mean_file == "/data/imagenet_mean.binaryproto"  # type: ignore[attr-defined]
    conv1 = next(layer for layer in net.layers if layer.name == "conv1")
    assert [(spec.lr_mult, spec.decay_mult) for spec in conv1.params] == [(1, 1), (2, 0)]


def test_lenet() -> None:
    net = read_prototxt(ZOO / "lenet_train_test.prototxt")
    shapes = shapes_of(net, Phase.TRAIN, data=(64, 1, 28, 28), label=(64,))
    assert parameters(shapes) == 431_080
    assert shapes["pool2"].tops == ((64, 50, 4, 4),)
    assert sum(each.macs for each in shapes.values()) == 64 * 2_293_000
    assert connect(net.for_phase(Phase.TEST)).outputs == ("accuracy", "loss")


def test_siamese() -> None:
    shapes = shapes_of(read_prototxt(ZOO / "siamese_mnist.prototxt"), pair_data=(100, 2, 28, 28), sim=(100,))
    assert shapes["slice_pair"].tops == ((100, 1, 28, 28), (100, 1, 28, 28))
    assert parameters(shapes) == 2 * 431_102
    names = {spec.name for each in shapes.values() for spec in each.step.layer.params}
    assert len(names) == 10
    assert shapes["loss"].tops == ((),)


def test_siamese_runs() -> None:
    """Two equal pictures lie at no distance: no loss where they are called similar, half the margin where not."""
    run = TorchNet(read_prototxt(ZOO / "siamese_mnist.prototxt"), Phase.TRAIN, {"pair_data": (64, 2, 28, 28)})
    assert len(list(run.parameters())) == 10
    one = torch.randn(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    different = torch.randn(64, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    for similar in (0.0, 1.0):
        values = run({"pair_data": torch.cat([one, one], 1), "sim": torch.full((64,), similar)}, ["loss"])
        assert values["loss"].item() == pytest.approx(0 if similar else 0.5)
    loss = run({"pair_data": torch.cat([one, different], 1), "sim": torch.ones(64)}, ["loss"])["loss"]
    loss.backward()
    assert loss > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in run.parameters() if parameter.dim() > 1)


def test_rcnn() -> None:
    net = read_prototxt(ZOO / "rcnn_v1.prototxt")
    for phase in Phase:
        shapes = shapes_of(net, phase)
        assert shapes["data"].tops == ((128, 3, 227, 227), (128,))
        assert shapes["fc-rcnn"].tops == ((128, 200),)
        assert parameters(shapes) == 57_687_624
    assert net.layers[0].kind.transform.mirror  # type: ignore[attr-defined]
    assert not net.layers[1].kind.transform.mirror  # type: ignore[attr-defined]
    assert connect(net.for_phase(Phase.TRAIN)).outputs == ("(automatic)@loss",)


def test_fully_convolutional() -> None:
    net = read_prototxt(ZOO / "fcn16s_deploy.prototxt")
    shapes = shapes_of(net)
    sides = {name: shapes[name].tops[0][2] for name in shapes}
    assert [sides[f"pool{i}"] for i in range(1, 6)] == [349, 175, 88, 44, 22]
    assert (sides["fc6"], sides["upscore2"], sides["upscore16"], sides["score"]) == (16, 34, 560, 500)
    assert shapes["upscore16"].parameters == 21 * 32 * 32
    other = shapes_of(net, data=(1, 3, 333, 500))
    assert other["score"].tops == ((1, 21, 333, 500),)
    assert net.name == "fcn16s_deploy"  # named after its file


@pytest.mark.parametrize(
    ("stage", "first", "outputs"),
    [
        ("train", "train-data", ("loss",)),
        ("val", "val-data", ("accuracy", "loss")),
        ("deploy", "input", ("softmax",)),
    ],
)
def test_all_in_one_by_stages(stage: str, first: str, outputs: tuple[str, ...]) -> None:
    net = read_prototxt(ZOO / "lenet_digits.prototxt").for_phase(Phase.TEST, stages=[stage])
    assert net.layers[0].name == first
    assert connect(net).outputs == outputs
    assert parameters(shapes_of(net)) == 520 + 20 * 12 * 12 * 10 + 10
