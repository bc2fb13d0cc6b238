"""What is measured: a network with random weights and inputs, on a device, in a precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from trtdream.bench.memory import available_memory
from trtdream.bench.precision import dtype_of
from trtdream.console import say
from trtdream.errors import TrtdreamError
from trtdream.net import zoo
from trtdream.net.graph import Graph, connect
from trtdream.net.kind import Phase, Shape
from trtdream.net.kinds.probability import Accuracy
from trtdream.net.net import Net
from trtdream.net.shapes import LayerShapes, infer_shapes
from trtdream.net.torch_module import TorchNet
from trtdream.runtime.open_model import open_net

T = TypeVar("T")
_CPU_OUT_OF_MEMORY = ("can't allocate memory", "could not create a memory object", "bad_alloc")


@dataclass(frozen=True)
class Setting:
    """Where and how a network runs.

    batch and inputs replace what the network says itself; None and nothing leave it.
    """

    device: str = "cpu"
    precision: str = "float32"
    phase: Phase = Phase.TRAIN
    batch: int | None = None
    inputs: Mapping[str, Shape] | None = None


class Subject:
    """A network ready to be measured.

    Attributes:
        layers: shapes of every layer.
        batch: of its first input.
        number_bytes: of a blob's number.
        with_gradient: whether anything in it learns, so that there is a backward pass.
    """

    def __init__(self, net: Net, setting: Setting) -> None:
        self.setting = setting
        self.force_backward = net.force_backward
        graph = connect(net.for_phase(setting.phase))
        shapes = input_shapes(graph, setting)
        self.layers: tuple[LayerShapes, ...] = infer_shapes(graph, shapes)
        self.batch = shapes[graph.inputs[0]][0] if graph.inputs else 1
        dtype = dtype_of(setting.precision)
        self.number_bytes = dtype.itemsize
        if setting.device == "cpu":
            refuse_too_much(memory_needed(self.layers, dtype.itemsize))
        self.module = TorchNet(net, setting.phase, shapes, generator=torch.Generator().manual_seed(0))
        self.module.to(device=setting.device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if setting.device.startswith("cuda"):
            torch.backends.cudnn.benchmark = True  # as training has it: the first runs look for the fastest algorithms
        self._inputs = _random_inputs(graph, shapes, setting.device, dtype)
        self._learned = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        self._losses = list(self.module.loss_weights())
        self._until = tuple(dict.fromkeys((*graph.outputs, *self._losses)))
        self.with_gradient = bool(self._learned) or self.force_backward

    def forward(self, on_layer: Callable[..., None] | None = None) -> dict[str, Tensor]:
        """The outputs and losses, as training computes them."""
        inputs = self._inputs
        if self.force_backward:
            inputs = {name: x.detach().requires_grad_() if x.is_floating_point() else x for name, x in inputs.items()}
        self._sources = [*self._learned, *(x for x in inputs.values() if x.requires_grad)]
        return self.module(inputs, self._until, on_layer)

    def backward(self, values: Mapping[str, Tensor]) -> None:
        """Gradients of the losses, or without any of the sum of the outputs, to all that learns."""
        if self._losses:
            target = self.module.loss(values)
        else:
            target = torch.stack([x.float().sum() for x in values.values() if x.requires_grad]).sum()
        torch.autograd.grad(target, self._sources, allow_unused=True)


def memory_needed(layers: Sequence[LayerShapes], number_bytes: int) -> int:
    """Bytes that training takes at least: blobs are kept for the way back, weights have gradients, noise is drawn."""
    blobs = sum(shapes.activations for shapes in layers)
    inputs = sum(shapes.activations for shapes in layers if shapes.step.layer.kind.is_input)
    weights = sum(shapes.parameters for shapes in layers)
    in_place = sum(shapes.activations for shapes in layers if shapes.step.layer.kind.can_overwrite)
    return number_bytes * (blobs - in_place + 2 * weights) + 4 * 2 * inputs


def refuse_too_much(needed: int) -> None:
    """Raises MemoryError if the CPU has not as much: the system would end the process instead of refusing a blob."""
    available = available_memory()
    if available is not None and needed > available:
        raise MemoryError(f"{needed / 2**30:.1f} GiB are needed, {available / 2**30:.1f} are free")


def net_for(name: str | None, phase: Phase) -> Net:
    """The network that NAME means; for TRAIN a zoo network with data layers, losses and accuracies."""
    if phase is Phase.TRAIN and (name or "googlenet") in zoo.ZOO:
        return zoo.build(name or "googlenet", deploy=False)
    return open_net(name)


def input_shapes(graph: Graph, setting: Setting) -> dict[str, Shape]:
    """The inputs' shapes, those that share the first one's batch size with `setting.batch` instead."""
    layers = infer_shapes(graph, setting.inputs, graph.inputs)
    shapes = {
        value: shape
        for layer in layers
        for value, shape in zip(layer.step.writes, layer.tops, strict=True)
        if value in graph.inputs
    }
    own = next((shape[0] for shape in shapes.values() if shape), None)
    if setting.batch is None:
        return shapes
    return {name: (setting.batch, *shape[1:]) if shape and shape[0] == own else shape for name, shape in shapes.items()}


def halving(batch: int, work: Callable[[int], T]) -> T:
    """`work(batch)`, with half the batch, and half of that, while the memory does not suffice; that is said.

    Raises:
        TrtdreamError: not even one sample fits.
    """
    while True:
        try:
            return work(batch)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            if batch == 1:
                raise TrtdreamError(f"not even a batch of 1 fits into memory: {str(error)[:200]}") from error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        say(f"batch {batch} does not fit into memory, {batch // 2} is tried")
        batch //= 2


def _out_of_memory(error: RuntimeError | MemoryError) -> bool:
    """On the CPU torch has no error class of its own for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        text in str(error) for text in _CPU_OUT_OF_MEMORY
    )


def _random_inputs(graph: Graph, shapes: Mapping[str, Shape], device: str, dtype: torch.dtype) -> Mapping[str, Tensor]:
    """Noise for pictures, zeros for labels: the time does not depend on them."""
    generator = torch.Generator().manual_seed(0)
    labels = _labels(graph)
    inputs = {}
    for name, shape in shapes.items():
        if name in labels:
            inputs[name] = torch.zeros(shape, dtype=torch.int64, device=device)
            continue
        noise = 50 * torch.randn(shape, generator=generator)
        laid = noise.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else noise
        inputs[name] = laid.to(device, dtype)
    return inputs


def _labels(graph: Graph) -> Sequence[str]:
    """Inputs that a loss or an accuracy reads beside its scores."""
    judges = [step for step in graph.steps if step.layer.kind.is_loss or isinstance(step.layer.kind, Accuracy)]
    return [value for step in judges for value in step.reads[1:] if value in graph.inputs]
