"""Testing: a net's outputs, averaged over batches, as Caffe's TestAll and `caffe test` do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trtdream.net.torch_module import TorchNet
from trtdream.train.feeding import Feeding
from trtdream.train.log import Values
from trtdream.train.world import World


@dataclass
class Tester:
    """A test set with the net that is tested on it, which shares the weights of the net that is trained."""

    __test__ = False  # no test of pytest's

    net: TorchNet
    feeding: Feeding
    iterations: int
    world: World

    @torch.no_grad()
    def run(self, each: Callable[[int, dict[str, Tensor]], None] | None = None) -> Values:
        """The outputs' means over `iterations` batches. `each` is told a batch's number and outputs."""
        sums: dict[str, Tensor] = {}
        for index in range(self.iterations):
            outputs = self.net(self.feeding.next(self.net.graph).blobs)
            if each is not None:
                each(index, outputs)
            for name, value in outputs.items():
                flat = value.detach().float().reshape(-1)
                sums[name] = sums[name] + flat if name in sums else flat.clone()
        self.world.average(list(sums.values()))
        return {name: (total / self.iterations).tolist() for name, total in sums.items()}


def flat(values: Values) -> dict[str, float]:
    """Outputs by name, those of several numbers as name[0], name[1] ..."""
    return {
        name if len(numbers) == 1 else f"{name}[{index}]": number
        for name, numbers in sorted(values.items())
        for index, number in enumerate(numbers)
    }
