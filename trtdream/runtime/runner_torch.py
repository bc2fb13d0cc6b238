"""The Runner of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from trtdream.runtime.model import Model
from trtdream.runtime.runner import Closing, by_name

if TYPE_CHECKING:
    from trtdream.runtime.runner import Array, Batch


class TorchRunner(Closing):
    """A model's torch module; the reference that everything else is held against.

    Args:
        until: values to give; the class probabilities if None (of scores, a softmax is taken).
        float_type: "float32", "float16" or "bfloat16": what the layers compute in. Outputs are float32.
    """

    def __init__(
        self, model: Model, until: Sequence[str] | None = None, device: str = "cpu", float_type: str = "float32"
    ) -> None:
        value, self._scores = (None, False) if until else model.probabilities()
        self._values = tuple(until or (str(value),))
        self._type: torch.dtype = getattr(torch, float_type)
        self._device, self._float_type = device, float_type
        self._module = model.module(self._values, device=device).to(self._type)
        self.inputs: Sequence[str] = tuple(
            value
            for value in model.graph.inputs
            if any(value in step.reads for step in model.graph.steps if not step.layer.kind.is_loss)
        )
        self.outputs: Sequence[str] = ("prob",) if self._scores else self._values

    @property
    def description(self) -> str:
        where = "the CPU" if self._device == "cpu" else torch.cuda.get_device_name(self._device)
        return f"torch {torch.__version__} on {where}, {self._float_type}"

    def __call__(self, batch: Batch) -> dict[str, Array]:
        given = by_name(batch, self.inputs)
        as_numpy = any(isinstance(array, np.ndarray) for array in given.values())
        tensors = {name: torch.as_tensor(array).to(self._device, self._type) for name, array in given.items()}
        with torch.inference_mode():
            found = self._module(tensors, self._values)
            if self._scores:
                found = {"prob": found[self._values[0]].float().flatten(1).softmax(1)}
            wide = {name: value.float() for name, value in found.items()}
        return {name: value.cpu().numpy() if as_numpy else value for name, value in wide.items()}
