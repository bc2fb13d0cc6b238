"""A classifier made convolutional computes the same at its own size, and at places of a larger picture."""

import numpy as np
import torch

from trtdream.net.kind import Phase
from trtdream.net.kinds.activation import ReLU
from trtdream.net.kinds.inner_product import InnerProduct
from trtdream.net.kinds.inputs import Input
from trtdream.net.kinds.probability import Softmax
from trtdream.net.net import Layer, Net
from trtdream.net.parameters import BlobShape, Filler
from trtdream.net.torch_module import TorchNet
from trtdream.runtime.convolutional import fully_convolutional
from trtdream.runtime.model import Model
from trtdream.weights.weights import Weights

SOME = Filler(type="gaussian", std=0.3)


def chain() -> Model:
    """Inner products over a map and over each other's outputs, one of them transposed."""
    net = Net(
        "chain",
        (
            Layer("data", Input(shape=(BlobShape((1, 3, 5, 4)),)), (), ("data",)),
            Layer("fc1", InnerProduct(num_output=7, weight_filler=SOME, bias_filler=SOME), ("data",), ("fc1",)),
            Layer("relu1", ReLU(), ("fc1",), ("fc1",)),
            Layer("fc2", InnerProduct(num_output=6, transpose=True, weight_filler=SOME), ("fc1",), ("fc2",)),
            Layer("prob", Softmax(), ("fc2",), ("prob",)),
        ),
    )
    arrays = TorchNet(net, Phase.TEST, generator=torch.Generator().manual_seed(0)).arrays()
    return Model(net, Weights(arrays, "random", "0" * 64), None)


def test_the_same_at_its_own_size_and_at_places() -> None:
    model = chain()
    convolved = fully_convolutional(model)
    picture = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    found = convolved.module()(picture)["prob"]
    assert found.shape == (1, 6, 2, 3)
    for row in range(2):
        for column in range(3):
            window = picture[:, :, row : row + 5, column : column + 4]
            wanted = model.module()(window)["prob"]
            np.testing.assert_allclose(found[..., row, column].numpy(), wanted.numpy(), atol=1e-6)
