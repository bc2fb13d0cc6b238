"""What the networks of the zoo are put together from."""

from __future__ import annotations

from trtdream.net.kind import Phase
from trtdream.net.kinds.activation import ReLU
from trtdream.net.kinds.convolution import Convolution
from trtdream.net.kinds.inner_product import InnerProduct
from trtdream.net.kinds.inputs import Data, Database, Input
from trtdream.net.kinds.losses import SoftmaxWithLoss
from trtdream.net.kinds.lrn import LRN
from trtdream.net.kinds.pooling import Method, Pooling
from trtdream.net.kinds.probability import Accuracy, Dropout, Softmax
from trtdream.net.net import Layer, ParamSpec, Rule
from trtdream.net.parameters import BlobShape, Filler, Transformation

WEIGHT_AND_BIAS = (ParamSpec(lr_mult=1, decay_mult=1), ParamSpec(lr_mult=2, decay_mult=0))
"""A bias learns twice as fast as a weight, and does not decay."""

IMAGENET = "examples/imagenet/ilsvrc12_{}_lmdb"


def data_layers(train_batch: int, crop: int, mean_file: str = "", mean_value: tuple[float, ...] = ()) -> list[Layer]:
    """Caffe's two data layers: random crops, mirrored at random, to train on, and centre crops, 50 a batch, to test."""

    def layer(phase: Phase, batch: int, source: str) -> Layer:
        transform = Transformation(
            mirror=phase is Phase.TRAIN, crop_size=crop, mean_file=mean_file, mean_value=mean_value
        )
        kind = Data(IMAGENET.format(source), batch, transform, backend=Database.LMDB)
        return Layer("data", kind, tops=("data", "label"), include=(Rule(phase),))

    return [layer(Phase.TRAIN, train_batch, "train"), layer(Phase.TEST, 50, "val")]


def input_layer(crop: int) -> Layer:
    """A blob `data`, 1 x 3 x crop x crop."""
    return Layer("data", Input(shape=(BlobShape((1, 3, crop, crop)),)), tops=("data",))


def convolution(
    name: str,
    bottom: str,
    outputs: int,
    kernel: int,
    weight: Filler,
    bias: float,
    pad: int = 0,
    stride: int = 1,
    group: int = 1,
) -> Layer:
    kind = Convolution(
        num_output=outputs,
        pad=(pad,) if pad else (),
        kernel_size=(kernel,),
        stride=(stride,) if stride > 1 else (),
        group=group,
        weight_filler=weight,
        bias_filler=Filler(value=bias),
    )
    return Layer(name, kind, (bottom,), (name,), WEIGHT_AND_BIAS)


def inner_product(name: str, bottom: str, outputs: int, weight: Filler, bias: float) -> Layer:
    kind = InnerProduct(outputs, weight_filler=weight, bias_filler=Filler(value=bias))
    return Layer(name, kind, (bottom,), (name,), WEIGHT_AND_BIAS)


def relu(name: str, blob: str) -> Layer:
    return Layer(name, ReLU(), (blob,), (blob,))


def dropout(name: str, blob: str, ratio: float) -> Layer:
    return Layer(name, Dropout(ratio), (blob,), (blob,))


def pool(name: str, bottom: str, kernel: int, stride: int, pad: int = 0, method: Method = Method.MAX) -> Layer:
    return Layer(name, Pooling(method, kernel_size=kernel, stride=stride, pad=pad), (bottom,), (name,))


def lrn(name: str, bottom: str) -> Layer:
    return Layer(name, LRN(local_size=5, alpha=1e-4, beta=0.75), (bottom,), (name,))


def softmax(bottom: str) -> Layer:
    return Layer("prob", Softmax(), (bottom,), ("prob",))


def loss(name: str, top: str, scores: str, weight: float | None = None) -> Layer:
    weights = () if weight is None else (weight,)
    return Layer(name, SoftmaxWithLoss(), (scores, "label"), (top,), loss_weight=weights)


def accuracy(name: str, scores: str, top_k: int = 1) -> Layer:
    return Layer(name, Accuracy(top_k), (scores, "label"), (name,), include=(Rule(Phase.TEST),))
