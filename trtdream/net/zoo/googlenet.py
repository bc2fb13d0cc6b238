"""GoogLeNet as BVLC trained it: no batch normalisation, two LRN layers, 5 x 5 convolutions that are 5 x 5."""

from __future__ import annotations

from typing import NamedTuple

from trtdream.net.kinds.combine import Concat
from trtdream.net.kinds.pooling import Method
from trtdream.net.net import Layer, Net
from trtdream.net.parameters import Filler
from trtdream.net.zoo.parts import (
    accuracy,
    convolution,
    data_layers,
    dropout,
    inner_product,
    input_layer,
    loss,
    lrn,
    pool,
    relu,
    softmax,
)

CROP = 224
MEAN_BGR = (104.0, 117.0, 123.0)
XAVIER = Filler("xavier")
BIAS = 0.2


class Widths(NamedTuple):
    """Output channels of an inception module's convolutions."""

    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool_proj: int


MODULES = {
    "inception_3a": Widths(64, 96, 128, 16, 32, 32),  # 256 x 28 x 28
    "inception_3b": Widths(128, 128, 192, 32, 96, 64),  # 480 x 28 x 28
    "inception_4a": Widths(192, 96, 208, 16, 48, 64),  # 512 x 14 x 14
    "inception_4b": Widths(160, 112, 224, 24, 64, 64),  # 512 x 14 x 14
    "inception_4c": Widths(128, 128, 256, 24, 64, 64),  # 512 x 14 x 14
    "inception_4d": Widths(112, 144, 288, 32, 64, 64),  # 528 x 14 x 14
    "inception_4e": Widths(256, 160, 320, 32, 128, 128),  # 832 x 14 x 14
    "inception_5a": Widths(256, 160, 320, 32, 128, 128),  # 832 x 7 x 7
    "inception_5b": Widths(384, 192, 384, 48, 128, 128),  # 1024 x 7 x 7
}
POOL_BEFORE = {"inception_4a": "pool3/3x3_s2", "inception_5a": "pool4/3x3_s2"}
LOSS_BEHIND = {"inception_4a": "loss1", "inception_4d": "loss2"}


def googlenet(classes: int, deploy: bool) -> Net:
    """GoogLeNet: 6,998,552 parameters for use, 13,378,280 with the two auxiliary classifiers it is trained with."""
    layers = [input_layer(CROP)] if deploy else data_layers(32, CROP, mean_value=MEAN_BGR)
    layers += _stem()
    trunk = layers[-1].name  # 192 x 28 x 28
    for name, widths in MODULES.items():
        if name in POOL_BEFORE:
            layers.append(pool(POOL_BEFORE[name], trunk, 3, 2))
            trunk = POOL_BEFORE[name]
        layers += _inception(name, trunk, widths)
        trunk = f"{name}/output"
        if name in LOSS_BEHIND and not deploy:
            layers += _auxiliary(LOSS_BEHIND[name], trunk, classes)
    layers += [
        pool("pool5/7x7_s1", trunk, 7, 1, method=Method.AVE),  # 1024 x 1 x 1
        dropout("pool5/drop_7x7_s1", "pool5/7x7_s1", 0.4),
        inner_product("loss3/classifier", "pool5/7x7_s1", classes, XAVIER, 0),
    ]
    layers += [softmax("loss3/classifier")] if deploy else _judged("loss3", "loss3/loss3", 1.0)
    return Net("GoogleNet", tuple(layers))


def _stem() -> list[Layer]:
    return [
        *_convolution("conv1/", "7x7_s2", "data", 64, 7, pad=3, stride=2, relu_name="relu_7x7"),  # 64 x 112 x 112
        pool("pool1/3x3_s2", "conv1/7x7_s2", 3, 2),
        lrn("pool1/norm1", "pool1/3x3_s2"),  # 64 x 56 x 56
        *_convolution("conv2/", "3x3_reduce", "pool1/norm1", 64, 1),
        *_convolution("conv2/", "3x3", "conv2/3x3_reduce", 192, 3, pad=1),
        lrn("conv2/norm2", "conv2/3x3"),  # 192 x 56 x 56
        pool("pool2/3x3_s2", "conv2/norm2", 3, 2),
    ]


def _inception(name: str, bottom: str, widths: Widths) -> list[Layer]:
    """Four branches side by side: 1 x 1; 3 x 3 and 5 x 5 behind a reducing 1 x 1; 1 x 1 behind a pooling."""
    at = f"{name}/"
    branches = (f"{at}1x1", f"{at}3x3", f"{at}5x5", f"{at}pool_proj")
    return [
        *_convolution(at, "1x1", bottom, widths.one, 1),
        *_convolution(at, "3x3_reduce", bottom, widths.three_reduce, 1),
        *_convolution(at, "3x3", f"{at}3x3_reduce", widths.three, 3, pad=1),
        *_convolution(at, "5x5_reduce", bottom, widths.five_reduce, 1),
        *_convolution(at, "5x5", f"{at}5x5_reduce", widths.five, 5, pad=2),
        pool(f"{at}pool", bottom, 3, 1, pad=1),
        *_convolution(at, "pool_proj", f"{at}pool", widths.pool_proj, 1),
        Layer(f"{at}output", Concat(), branches, (f"{at}output",)),
    ]


def _auxiliary(name: str, bottom: str, classes: int) -> list[Layer]:
    """A small classifier on the trunk, whose loss counts 0.3: it feeds the lower layers a gradient."""
    at = f"{name}/"
    return [
        pool(f"{at}ave_pool", bottom, 5, 3, method=Method.AVE),  # 512 or 528 x 4 x 4
        *_convolution(at, "conv", f"{at}ave_pool", 128, 1),
        inner_product(f"{at}fc", f"{at}conv", 1024, XAVIER, BIAS),
        relu(f"{at}relu_fc", f"{at}fc"),
        dropout(f"{at}drop_fc", f"{at}fc", 0.7),
        inner_product(f"{at}classifier", f"{at}fc", classes, XAVIER, 0),
        *_judged(name, f"{name}/loss", 0.3),
    ]


def _judged(name: str, loss_layer: str, weight: float) -> list[Layer]:
    """A classifier's loss and its top-1 and top-5 accuracies; the loss's blob is called NAME/NAME."""
    scores = f"{name}/classifier"
    return [
        loss(loss_layer, f"{name}/{name}", scores, weight),
        accuracy(f"{name}/top-1", scores),
        accuracy(f"{name}/top-5", scores, top_k=5),
    ]


def _convolution(
    at: str, name: str, bottom: str, outputs: int, kernel: int, pad: int = 0, stride: int = 1, relu_name: str = ""
) -> list[Layer]:
    """A convolution `at/name` and the ReLU `at/relu_name` on it."""
    conv = convolution(f"{at}{name}", bottom, outputs, kernel, XAVIER, BIAS, pad=pad, stride=stride)
    return [conv, relu(f"{at}{relu_name or f'relu_{name}'}", conv.name)]
