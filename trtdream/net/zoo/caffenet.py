"""CaffeNet (BVLC reference) and AlexNet, which differ in the order of pooling and LRN and in some biases."""

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

CROP = 227
MEAN_FILE = "data/ilsvrc12/imagenet_mean.binaryproto"


def caffenet(classes: int, deploy: bool) -> Net:
    """CaffeNet: 5 convolutions, pooling before LRN, 3 fully connected layers; 60,965,224 parameters."""
    return _net("CaffeNet", classes, deploy, pool_first=True, bias=1.0)


def alexnet(classes: int, deploy: bool) -> Net:
    """AlexNet: as CaffeNet, but LRN before pooling and biases that start at 0.1 instead of 1."""
    return _net("AlexNet", classes, deploy, pool_first=False, bias=0.1)


def _net(name: str, classes: int, deploy: bool, pool_first: bool, bias: float) -> Net:
    narrow, narrower = Filler("gaussian", std=0.01), Filler("gaussian", std=0.005)
    layers = [input_layer(CROP)] if deploy else data_layers(256, CROP, MEAN_FILE)
    layers += [convolution("conv1", "data", 96, 11, narrow, 0, stride=4), relu("relu1", "conv1")]
    layers += _shrink(1, pool_first)
    layers += [
        convolution("conv2", layers[-1].name, 256, 5, narrow, bias, pad=2, group=2),
        relu("relu2", "conv2"),
    ]
    layers += _shrink(2, pool_first)
    layers += [
        convolution("conv3", layers[-1].name, 384, 3, narrow, 0, pad=1),
        relu("relu3", "conv3"),
        convolution("conv4", "conv3", 384, 3, narrow, bias, pad=1, group=2),
        relu("relu4", "conv4"),
        convolution("conv5", "conv4", 256, 3, narrow, bias, pad=1, group=2),
        relu("relu5", "conv5"),
        pool("pool5", "conv5", 3, 2),
        inner_product("fc6", "pool5", 4096, narrower, bias),
        relu("relu6", "fc6"),
        dropout("drop6", "fc6", 0.5),
        inner_product("fc7", "fc6", 4096, narrower, bias),
        relu("relu7", "fc7"),
        dropout("drop7", "fc7", 0.5),
        inner_product("fc8", "fc7", classes, narrow, 0),
    ]
    layers += [softmax("fc8")] if deploy else [accuracy("accuracy", "fc8"), loss("loss", "loss", "fc8")]
    return Net(name, tuple(layers))


def _shrink(index: int, pool_first: bool) -> list[Layer]:
    """Pooling and LRN, in the order of the network, behind conv1 or conv2."""
    conv, pooled, norm = f"conv{index}", f"pool{index}", f"norm{index}"
    if pool_first:
        return [pool(pooled, conv, 3, 2), lrn(norm, pooled)]
    return [lrn(norm, conv), pool(pooled, norm, 3, 2)]
