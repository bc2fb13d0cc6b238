"""Receptive fields against brute force: which pixels have a gradient from one place of a value."""

import pytest
import torch

from trtdream.errors import UsageError
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.kinds.combine import Concat
from trtdream.net.kinds.convolution import Convolution
from trtdream.net.kinds.inputs import Input
from trtdream.net.kinds.lrn import LRN, Region
from trtdream.net.kinds.pooling import Method, Pooling
from trtdream.net.net import Layer, Net
from trtdream.net.parameters import BlobShape, Filler
from trtdream.net.receptive import Field, receptive_fields
from trtdream.net.torch_module import TorchNet
from trtdream.net.zoo import ZOO

SHAPE = (1, 2, 61, 58)
WEIGHTS = Filler(type="uniform", min=0.1, max=1.0)


def small_net() -> Net:
    """Two branches, dilation, ceil pooling with padding, a window within the channel; no two numbers cancel."""

    def conv(name: str, bottom: str, **keys: object) -> Layer:
        return Layer(name, Convolution(num_output=2, weight_filler=WEIGHTS, **keys), (bottom,), (name,))  # type: ignore[arg-type]

    return Net(
        "small",
        (
            Layer("data", Input(shape=(BlobShape(SHAPE),)), (), ("data",)),
            conv("a", "data", kernel_size=(5,), stride=(2,), pad=(1,)),
            Layer("b", Pooling(pool=Method.AVE, kernel_size=3, stride=2, pad=1), ("a",), ("b",)),
            conv("wide", "b", kernel_h=1, kernel_w=5, pad_h=0, pad_w=2),
            conv("dilated", "b", kernel_size=(3,), dilation=(2,), pad=(2,)),
            Layer("c", Concat(), ("wide", "dilated"), ("c",)),
            Layer("d", LRN(local_size=3, norm_region=Region.WITHIN_CHANNEL), ("c",), ("d",)),
        ),
    )


def support(module: TorchNet, value: str, place: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, bottom, left and right end of the pixels whose gradient is not zero."""
    data = torch.rand(SHAPE, dtype=torch.float64).requires_grad_()
    found = module(data, [value])[value]
    (gradient,) = torch.autograd.grad(found[0, :, place[0], place[1]].sum(), data)
    rows, columns = (gradient[0].abs().sum((0, side)).nonzero() for side in (2, 1))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


@pytest.mark.parametrize("value", ["a", "b", "wide", "dilated", "c", "d"])
def test_support_of_a_place(value: str) -> None:
    net = small_net()
    module = TorchNet(net, generator=torch.Generator().manual_seed(0)).double()
    field = receptive_fields(connect(net.for_phase(Phase.TEST)), [value])[value]
    for place in ((0, 0), (5, 6), (9, 3), (13, 12)):
        ends = []
        for side, size in ((0, SHAPE[2]), (1, SHAPE[3])):
            first = place[side] * field.stride[side]
            ends += [max(first + field.start[side], 0), min(first + field.end[side], size)]
        assert support(module, value, place) == tuple(ends), place


def test_googlenet() -> None:
    """Strides and sizes by hand: each layer adds (kernel - 1) times the stride before it."""
    graph = connect(ZOO["googlenet"](1000, True).for_phase(Phase.TEST))
    fields = receptive_fields(graph, ["conv2/3x3", "inception_3b/output"])
    assert fields["conv2/3x3"] == Field((4, 4), (-7, -7), (12, 12))  # 7 + 2 * 2 + 2 * 4 = 19 pixels
    assert fields["inception_3b/output"].size == (19 + 2 * 4 + 2 * 32,) * 2  # pool2, then 5 x 5 in 3a and 3b
    with pytest.raises(UsageError, match=r"loss3/classifier.*whole picture"):
        receptive_fields(graph, ["prob"])
