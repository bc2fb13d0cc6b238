"""Networks of others, and our own, exported whole: any batch, and odd sizes, as torch computes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.models import model_of, random_weights, run_onnx, run_torch
from tests.net.layer_truth import worst
from trtdream.caffe.prototxt import read_prototxt
from trtdream.export.onnx_net import GraphOptions, onnx_from_model
from trtdream.export.sizes import Batch
from trtdream.net import zoo
from trtdream.net.deploy import deploy_net
from trtdream.net.net import Net

FILES = Path(__file__).parents[1] / "caffe/zoo"
SMALL = ["quicknet", "lenet_train_test"]
LARGE = ["googlenet", "caffenet", "alexnet", "nin_imagenet_v1", "rcnn_v1", "fcn16s_deploy"]


def net_of(name: str) -> Net:
    if name == "lenet_train_test":  # whose pictures only its database knows
        return deploy_net(read_prototxt(FILES / f"{name}.prototxt"), 1, 28, 28)
    return zoo.build(name) if name in zoo.ZOO else read_prototxt(FILES / f"{name}.prototxt")


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.full) for name in LARGE)])
@pytest.mark.parametrize("banded", [False, True])
def test_network_of_the_zoo(name: str, banded: bool) -> None:
    torch.set_num_threads(2)
    net = net_of(name)
    model = model_of(net, random_weights(net))
    made = onnx_from_model(model, GraphOptions(Batch(1, 2, 64), lrn_as_convolution=banded))
    for batch in (1, 3, 17) if name in SMALL else (1, 3):
        inputs = {
            value.name: np.random.default_rng(batch)
            .standard_normal((batch, *[d.dim_value for d in value.type.tensor_type.shape.dim[1:]]))
            .astype(np.float32)
            for value in made.graph.input
        }
        found = run_onnx(made, inputs)
        own = [blob for blob in found if blob in model.graph.values]
        wanted = run_torch(model, inputs, own or [model.probabilities()[0]])
        if not own:  # a net for training, behind whose scores the export puts a softmax
            (scores,) = (value.astype(np.float64) for value in wanted.values())
            powers = np.exp(scores - scores.max(1, keepdims=True))
            wanted = {next(iter(found)): powers / powers.sum(1, keepdims=True)}
        for blob, value in wanted.items():
            assert worst(found[blob], value) < 1e-5, (blob, batch)
