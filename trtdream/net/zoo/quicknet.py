"""QuickNet: small enough to be trained on a CPU in a minute, made of what CaffeNet is made of."""

from __future__ import annotations

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

CROP = 56
MEAN_BGR = (127.0, 127.0, 127.0)
MSRA = Filler("msra")


def quicknet(classes: int, deploy: bool) -> Net:
    """QuickNet: 3 convolutions with pooling and one LRN, 2 fully connected layers. No network of Caffe's."""
    layers = [input_layer(CROP)] if deploy else data_layers(32, CROP, mean_value=MEAN_BGR)
    layers += _block(1, "data", 24, 5, 2)  # 24 x 14 x 14
    layers += [lrn("norm1", "pool1")]
    layers += _block(2, "norm1", 48, 3, 1)  # 48 x 7 x 7
    layers += _block(3, "pool2", 64, 3, 1)  # 64 x 3 x 3
    layers += [
        inner_product("fc4", "pool3", 128, MSRA, 0),
        relu("relu4", "fc4"),
        dropout("drop4", "fc4", 0.3),
        inner_product("fc5", "fc4", classes, Filler("xavier"), 0),
    ]
    layers += [softmax("fc5")] if deploy else [accuracy("accuracy", "fc5"), loss("loss", "loss", "fc5")]
    return Net("QuickNet", tuple(layers))


def _block(index: int, bottom: str, outputs: int, kernel: int, stride: int) -> list[Layer]:
    """A convolution that keeps the size but for its stride, a ReLU, and a pooling that halves it."""
    conv = f"conv{index}"
    return [
        convolution(conv, bottom, outputs, kernel, MSRA, 0, pad=kernel // 2, stride=stride),
        relu(f"relu{index}", conv),
        pool(f"pool{index}", conv, 3, 2),
    ]
