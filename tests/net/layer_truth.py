"""Single layers that real Caffe ran: `<case>/<item>` arrays of caffe-truth/layers as cases to run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trtdream.caffe.prototxt import net_from_text
from trtdream.net.kind import Phase
from trtdream.net.torch_module import TorchNet


@dataclass(frozen=True)
class Case:
    """One layer with its inputs, weights, outputs and, where Caffe ran backward, gradients."""

    name: str
    items: dict[str, np.ndarray]

    def __str__(self) -> str:
        return self.name

    def starting(self, prefix: str) -> dict[str, np.ndarray]:
        return {key.removeprefix(prefix): value for key, value in self.items.items() if key.startswith(prefix)}

    def module(self, phase: Phase = Phase.TEST) -> TorchNet:
        inputs = "".join(
            f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
            + "".join(f"dim: {size} " for size in value.shape)
            + "} } }\n"
            for name, value in self.starting("in_").items()
        )
        net = net_from_text(inputs + str(self.items["prototxt"]), self.name)
        module = TorchNet(net, phase)
        weights = [self.items[f"param{i}"] for i in range(2) if f"param{i}" in self.items]
        if weights:
            module.load({net.layers[-1].name: weights}, self.name)
        return module

    def run(self, phase: Phase = Phase.TEST) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Outputs and gradients by the names they have in `items`, in the shapes they have there."""
        module = self.module(phase)
        inputs = {
            name: torch.from_numpy(value.astype(np.float32)).requires_grad_()
            for name, value in self.starting("in_").items()
        }
        tops = module(inputs)
        outputs = {
            f"out_{name}": tops[name].detach().numpy().reshape(wanted.shape)
            for name, wanted in self.starting("out_").items()
        }
        return outputs, self._gradients(module, inputs, tops)

    def _gradients(
        self, module: TorchNet, inputs: dict[str, torch.Tensor], tops: dict[str, torch.Tensor]
    ) -> dict[str, np.ndarray]:
        if "dtop" not in self.items:
            return {}
        layer = module.graph.steps[-1].layer.name
        of = {f"d_{name}": inputs[name] for name in self.starting("d_")}
        of |= {f"dparam{i}": module.weight((layer, int(i))) for i in self.starting("dparam")}
        top = tops[next(iter(self.starting("out_")))]
        start = torch.from_numpy(self.items["dtop"]).reshape(top.shape)
        found = torch.autograd.grad(top, list(of.values()), start)
        return {name: g.numpy().reshape(self.items[name].shape) for name, g in zip(of, found, strict=True)}


def load_cases(path: Path) -> list[Case]:
    arrays = np.load(path)
    names = sorted({key.rsplit("/", 1)[0] for key in arrays.files})
    return [
        Case(name, {key[len(name) + 1 :]: arrays[key] for key in arrays.files if key.rsplit("/", 1)[0] == name})
        for name in names
    ]


def worst(found: np.ndarray, wanted: np.ndarray) -> float:
    """The greatest difference, relative to the greatest wanted value."""
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30))
