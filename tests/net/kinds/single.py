"""One layer, run in float64 on arrays, to be held against an independent reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trtdream.caffe.prototxt import net_from_text
from trtdream.net.graph import connect
from trtdream.net.kind import Phase, Shape
from trtdream.net.net import Net
from trtdream.net.shapes import LayerShapes, infer_shapes
from trtdream.net.torch_module import TorchNet


@dataclass(frozen=True)
class Single:
    """A layer's module and the tensors that go into it."""

    module: TorchNet
    inputs: dict[str, torch.Tensor]

    @property
    def tops(self) -> dict[str, np.ndarray]:
        return {name: value.detach().numpy() for name, value in self._run().items()}

    @property
    def top(self) -> np.ndarray:
        return next(iter(self.tops.values()))

    def gradient(self, of: str, dtop: np.ndarray | float = 1.0) -> np.ndarray:
        """The gradient of a bottom, for that of the first top."""
        top = next(iter(self._run().values()))
        start = torch.as_tensor(dtop, dtype=top.dtype).expand(top.shape)
        return torch.autograd.grad(top, self.inputs[of], start)[0].numpy()

    def check_gradients(self, *bottoms: str) -> None:
        """Finite differences agree with autograd, for the bottoms and every learned weight."""
        learned = [weight for weight in self.module.parameters() if weight.requires_grad]
        for name, value in self.inputs.items():
            value.requires_grad_(name in bottoms)
        varied = (*(self.inputs[name] for name in bottoms), *learned)
        assert torch.autograd.gradcheck(lambda *_: tuple(self._run().values()), varied)

    def weights(self) -> list[np.ndarray]:
        return [weight.detach().numpy() for _, weight in self.module.weight_keys()]

    def _run(self) -> dict[str, torch.Tensor]:
        return self.module(self.inputs, self.module.graph.steps[-1].writes)


def single(
    layer: str, weights: Sequence[np.ndarray] = (), phase: Phase = Phase.TEST, **inputs: np.ndarray | Sequence
) -> Single:
    """The layer whose prototxt stands in `layer` (without `layer { }`), on the named inputs."""
    tensors = {name: torch.as_tensor(np.array(value, np.float64)) for name, value in inputs.items()}
    net = net_of(layer, {name: tuple(value.shape) for name, value in tensors.items()})
    module = TorchNet(net, phase).double()
    for (_, weight), value in zip(module.weight_keys(), weights, strict=bool(weights)):
        weight.data.copy_(torch.as_tensor(np.asarray(value)))
    return Single(module, {name: value.requires_grad_() for name, value in tensors.items()})


def net_of(layer: str, inputs: Mapping[str, Shape]) -> Net:
    text = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ dim: {list(shape)} }} }} }}\n'
        for name, shape in inputs.items()
    )
    return net_from_text(f'{text}layer {{ name: "layer" {layer} }}', "single.prototxt")


def shapes_of(layer: str, **inputs: Shape) -> LayerShapes:
    return infer_shapes(connect(net_of(layer, inputs)))[-1]


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, shape)
