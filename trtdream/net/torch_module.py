"""A `Net` as a torch module: forward to any set of blobs and no further, in any floating type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from trtdream.errors import InputRefused, UsageError
from trtdream.net.fillers import fill
from trtdream.net.forms import Forms
from trtdream.net.graph import Graph, Step, connect
from trtdream.net.kind import Phase, Shape
from trtdream.net.net import Net
from trtdream.net.plan import Key, Planned, make_plan
from trtdream.net.prepared import Prepared
from trtdream.net.shapes import infer_shapes, needed_steps


class TorchNet(nn.Module):
    """The network of one phase as a torch module.

    Its parameters are called `<layer>.<index>` in the state_dict, a "." within a layer's name written `%2E` (torch
    allows none there). Weights shared by name are one parameter, kept under the first layer that has them.

    Args:
        net: layers of all phases; those of `phase` are built.
        inputs: shapes of input blobs that differ from the net's own. They fix the sizes of weights; `forward` takes
            any size that the layers asked for can take.
        until: values (see `Graph`) that will be asked for; layers that none of them needs are left out.
        generator: for the fillers.

    `compute_dtype`, once set, is what weights are cast to where they are used; the weights themselves stay as they are,
    and so do running statistics and, on a CPU, inner products. The inputs must be of the same type.

    `forms` says in which forms the layers are computed; every value is there by name whatever they are.
    """

    def __init__(
        self,
        net: Net,
        phase: Phase = Phase.TEST,
        inputs: Mapping[str, Shape] | None = None,
        until: Sequence[str] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.phase = phase
        self.compute_dtype: torch.dtype | None = None
        self.forms = Forms(merge_branches=True, gradient_by_depth=True, weight_first=True)
        self._statistics: set[Key] = set()
        self.graph: Graph = connect(net.for_phase(phase))
        self._owner: dict[Key, Key] = {}
        self._shape: dict[Key, Shape] = {}
        self._modules_by_layer: dict[str, nn.Module] = {}
        self._built: set[str] = set()
        self._plans: dict[tuple[tuple[str, ...], frozenset[str], Forms], tuple[Planned, ...]] = {}
        self._prepared = Prepared()
        shared: dict[str, Key] = {}
        for shapes in infer_shapes(self.graph, inputs, until):
            layer = shapes.step.layer
            self._built.add(layer.name)
            for index, weight in enumerate(shapes.weights):
                key, name = (layer.name, index), layer.param(index).name
                self._owner[key] = shared.setdefault(name, key) if name else key
                self._shape[key] = weight.shape
                if not weight.learned:
                    self._statistics.add(key)
                if self._owner[key] != key:
                    self._check_shared(shapes.step, key, weight.shape)
                    continue
                try:
                    start = fill(weight.filler, weight.shape, generator)
                except ValueError as error:
                    raise InputRefused(f"{net.name}: {layer}: {error}") from error
                learned = weight.learned and layer.param(index).lr_mult != 0
                self._register(key, nn.Parameter(start, requires_grad=learned))

    def forward(
        self,
        inputs: Tensor | Mapping[str, Tensor],
        until: Sequence[str] | None = None,
        on_layer: Callable[[Step, Sequence[Tensor]], None] | None = None,
    ) -> dict[str, Tensor]:
        """Run the layers that the wanted values need.

        Args:
            inputs: input blobs by name, or the one tensor of a net's first input, each N x ...; other values may be
                given too, and are then not computed.
            until: values by name (see `Graph.at_layer`, `Graph.blob`); the net's outputs if None.
            on_layer: called with each layer's step and its tops, once it has run; no layers are merged then.

        Returns:
            The wanted values by name.

        Raises:
            UsageError: a wanted value that does not exist, or that the net was built without.
            InputRefused: an input that the wanted values need is not given.
        """
        given = {self.graph.inputs[0]: inputs} if isinstance(inputs, Tensor) else dict(inputs)
        wanted = tuple(self.graph.outputs if until is None else until)
        values: dict[str, Tensor] = dict(given)
        forms = self.forms if on_layer is None else replace(self.forms, merge_branches=False)
        for planned in self._plan(wanted, frozenset(given), forms):
            layer = planned.step.layer
            bottoms = [values[name] for name in planned.step.reads]
            for index, down in enumerate(layer.propagate_down):
                bottoms[index] = bottoms[index] if down else bottoms[index].detach()
            if planned.overwrites:
                tops: Sequence[Tensor] = [layer.kind.overwrite(bottoms[0])]
            else:
                weights = self._weights_for(planned)
                if weights and self.compute_dtype is not None:
                    bottoms = [x.to(weights[0].dtype) if x.is_floating_point() else x for x in bottoms]
                tops = layer.kind.forward(bottoms, weights, layer.phase or self.phase, len(planned.step.writes))
            values.update(zip(planned.step.writes, tops, strict=True))
            if on_layer is not None:
                on_layer(planned.step, tops)
            for name in planned.done_with:
                values.pop(name, None)
        return {name: values[name] for name in wanted}

    def loss(self, values: Mapping[str, Tensor]) -> Tensor:
        """The sum of a net's losses, each times its weight, as Caffe's solver minimises it."""
        weighted = [weight * values[name].sum() for name, weight in self.loss_weights().items()]
        return torch.stack(weighted).sum()

    def loss_weights(self) -> dict[str, float]:
        """The values that count as losses, with their weights."""
        return {
            name: step.layer.loss_weight_of(top)
            for step in self.graph.steps
            for top, name in enumerate(step.writes)
            if step.layer.loss_weight_of(top)
        }

    def weight(self, key: Key) -> Tensor:
        """The weight `index` of a layer, for key (layer, index), in the shape that this layer gives it."""
        layer, index = self._owner[key]
        parameter = self._modules_by_layer[layer].get_parameter(str(index))
        shape = self._shape[key]
        return parameter if tuple(parameter.shape) == shape else parameter.view(shape)

    def share_weights(self, other: TorchNet) -> None:
        """Use another net's weights, themselves and not copies, for the layers that both have.

        Raises:
            InputRefused: a layer's weights differ in shape.
        """
        for key in [key for key, owner in self._owner.items() if key == owner and key in other._owner]:
            theirs, mine = other.weight(key), self.weight(key)
            if theirs.shape != mine.shape:
                raise InputRefused(
                    f"{self.graph.net.name}: layer {key[0]!r}: a weight is {tuple(mine.shape)} in {self.phase}, "
                    f"{tuple(theirs.shape)} in {other.phase}"
                )
            assert isinstance(theirs, nn.Parameter)
            self._modules_by_layer[key[0]].register_parameter(str(key[1]), theirs)

    def weight_keys(self) -> Iterator[tuple[Key, Tensor]]:
        """Each weight once, under the layer that owns it, in the net's order."""
        for key, owner in self._owner.items():
            if key == owner:
                yield key, self.weight(key)

    def load(self, weights: Mapping[str, Sequence[np.ndarray]], origin: str, partial: bool = False) -> Loaded:
        """Take weights by layer name.

        A layer that shares all its weights with earlier ones may be missing: Caffe's HDF5 files leave it out.

        Args:
            partial: leave a layer that `weights` has not, or has in another shape, as it is; otherwise refuse.

        Raises:
            InputRefused: a layer without weights, a wrong number or shape of them; nothing was changed then.
        """
        expected: dict[str, list[Tensor]] = {}
        for layer, index in self._owner:
            expected.setdefault(layer, []).append(self.weight((layer, index)))
        sharing = {layer for layer in expected if layer not in self._modules_by_layer}
        fitting, missing, unfit = [], [], []
        for layer, tensors in expected.items():
            if layer not in weights:
                if layer not in sharing:
                    missing.append(layer)
            elif fault := _misfit(tensors, weights[layer]):
                unfit.append(f"{layer} ({fault})")
            else:
                fitting.append(layer)
        if not partial and (missing or unfit):
            raise InputRefused(_refusal(self.graph.net.name, origin, fitting, missing, unfit))
        with torch.no_grad():
            for layer in fitting:
                for tensor, array in zip(expected[layer], weights[layer], strict=True):
                    tensor.copy_(torch.from_numpy(np.array(array, np.float32)).reshape(tensor.shape))
        unused = [layer for layer in weights if layer not in expected]
        return Loaded(tuple(fitting), tuple(missing), tuple(unfit), tuple(unused))

    def arrays(self) -> dict[str, tuple[np.ndarray, ...]]:
        """Copies of all weights by layer name as float32; shared ones stand under every layer that has them."""
        found: dict[str, tuple[np.ndarray, ...]] = {}
        for key in self._owner:
            array = self.weight(key).detach().float().cpu().numpy().copy()
            found[key[0]] = (*found.get(key[0], ()), array)
        return found

    def _weights_for(self, planned: Planned) -> list[Tensor]:
        weights = [self._computed_with(keys) for keys in planned.weights]
        if planned.narrow:
            keys = planned.weights[0]
            filters = [self.weight(key) for key in keys]
            weights.append(self._prepared.get((keys, planned.narrow), filters, getattr(torch, planned.narrow)))
        return weights

    def _computed_with(self, keys: tuple[Key, ...]) -> Tensor:
        weights = [self.weight(key) for key in keys]
        dtype = self._dtype_for(keys[0], weights[0])
        if len(weights) == 1 and weights[0].dtype == dtype:
            return weights[0]
        return self._prepared.get(keys, weights, dtype)

    def _dtype_for(self, key: Key, weight: Tensor) -> torch.dtype:
        if self.compute_dtype is None or key in self._statistics:
            return weight.dtype
        if weight.device.type == "cpu" and self._modules_by_layer[self._owner[key][0]].get_parameter("0").dim() == 2:
            # CaffeNet's inner products hold 58 million weights: casting them and their gradients to and fro was a third
            # of a step of batch 10, by torch's profile on two cores
            return weight.dtype
        return self.compute_dtype

    def _register(self, key: Key, parameter: nn.Parameter) -> None:
        layer, index = key
        if layer not in self._modules_by_layer:
            module = nn.Module()
            # Not by add_module, which refuses the names of this class's own attributes: a layer may be called "loss".
            self._modules[layer.replace("%", "%25").replace(".", "%2E")] = module
            self._modules_by_layer[layer] = module
        self._modules_by_layer[layer].register_parameter(str(index), parameter)

    def _check_shared(self, step: Step, key: Key, shape: Shape) -> None:
        owned, param = self._shape[self._owner[key]], step.layer.param(key[1])
        if owned != shape and not (param.permissive and prod(owned) == prod(shape)):
            raise InputRefused(
                f"{self.graph.net.name}: {step.layer}: shares {param.name!r} of shape {owned}, but needs {shape}"
            )

    def _plan(self, wanted: tuple[str, ...], given: frozenset[str], forms: Forms) -> tuple[Planned, ...]:
        key = wanted, given, forms
        if key not in self._plans:
            self._check_runnable(wanted, given)
            self._plans[key] = make_plan(self.graph, wanted, given, forms, lambda layer: tuple(self._weights_of(layer)))
        return self._plans[key]

    def _check_runnable(self, wanted: Sequence[str], given: frozenset[str]) -> None:
        net = self.graph.net.name
        steps = needed_steps(self.graph, [self.graph.blob(name) for name in wanted], given)
        needed = {*wanted, *(name for step in steps for name in step.reads)} - given
        if lacking := sorted(needed.intersection(self.graph.inputs)):
            raise InputRefused(f"{net}: input {', '.join(lacking)} is not given")
        if unbuilt := [step.layer.name for step in steps if step.layer.name not in self._built]:
            raise UsageError(f"{net}: {', '.join(wanted)} needs {unbuilt[0]}, which this module was built without")

    def _weights_of(self, layer: str) -> Iterator[Key]:
        index = 0
        while (layer, index) in self._owner:
            yield (layer, index)
            index += 1


@dataclass(frozen=True)
class Loaded:
    """What became of a file's weights: the layers that took theirs, had none, did not fit, and weights nobody has."""

    taken: tuple[str, ...]
    missing: tuple[str, ...]
    unfit: tuple[str, ...]
    unused: tuple[str, ...]


def _misfit(tensors: Sequence[Tensor], arrays: Sequence[np.ndarray]) -> str:
    if len(tensors) != len(arrays):
        return f"{len(arrays)} weights for {len(tensors)}"
    for tensor, array in zip(tensors, arrays, strict=True):
        if _without_leading_ones(tuple(tensor.shape)) != _without_leading_ones(array.shape):
            return f"{'x'.join(map(str, array.shape))} for {'x'.join(map(str, tensor.shape))}"
    return ""


def _without_leading_ones(shape: Shape) -> Shape:
    """Old files pad every shape to four dimensions with ones in front."""
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape


def _refusal(net: str, origin: str, fitting: Sequence[str], missing: Sequence[str], unfit: Sequence[str]) -> str:
    if not fitting:
        return f"{origin}: holds weights of another network: not one layer of {net} fits"
    faults = [f"no weights for {', '.join(missing[:5])}"] if missing else []
    faults += [f"wrong shape for {', '.join(unfit[:5])}"] if unfit else []
    return f"{origin}: does not fit {net}: {'; '.join(faults)} ({len(fitting)} layers do fit)"
