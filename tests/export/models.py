"""Small models with random weights, and running them in ONNX Runtime and in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import torch

from trtdream.caffe.prototxt import net_from_text
from trtdream.export.onnx_net import GraphOptions
from trtdream.export.sizes import Batch
from trtdream.net.graph import connect
from trtdream.net.kind import Phase, Shape, Weight
from trtdream.net.net import Net
from trtdream.net.shapes import infer_shapes
from trtdream.net.torch_module import TorchNet
from trtdream.runtime.model import Model
from trtdream.weights.weights import Weights

ANY_BATCH = GraphOptions(Batch(1, 2, 64))


def input_layer(name: str, shape: Shape) -> str:
    dims = " ".join(f"dim: {size}" for size in shape)
    return f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}\n'


def model_of(net: Net, weights: Mapping[str, Sequence[np.ndarray]]) -> Model:
    return Model(net, Weights(dict(weights), "test", "0" * 64), None)


def random_model(text: str, name: str = "test", seed: int = 0) -> Model:
    """The net of a prototxt text with random weights, factors of variance positive."""
    net = net_from_text(text, name)
    return model_of(net, random_weights(net, seed))


def random_weights(net: Net, seed: int = 0) -> dict[str, Sequence[np.ndarray]]:
    """Normal numbers that keep blobs of their size; magnitudes for a BatchNorm's statistics."""
    random = np.random.default_rng(seed)
    return {
        layer.step.layer.name: tuple(_random(random, weight) for weight in layer.weights)
        for layer in infer_shapes(connect(net.for_phase(Phase.TEST)))
        if layer.weights
    }


def _random(random: np.random.Generator, weight: Weight) -> np.ndarray:
    """Normal numbers, divided so that sums keep their size; magnitudes for a BatchNorm's statistics."""
    values = random.standard_normal(weight.shape, np.float32) / np.float32(np.prod(weight.shape[1:]) ** 0.5)
    return np.asarray(values if weight.learned else np.abs(values), np.float32)


def run_onnx(model: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def run_torch(model: Model, inputs: Mapping[str, np.ndarray], until: Sequence[str]) -> dict[str, np.ndarray]:
    module = TorchNet(model.net, inputs={name: value.shape for name, value in inputs.items()}, until=until)
    module.load(model.weights.layers, "test")
    with torch.inference_mode():
        found = module({name: torch.from_numpy(value) for name, value in inputs.items()}, until)
    return {name: value.numpy() for name, value in found.items()}
