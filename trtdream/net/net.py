"""A network: an immutable list of named layers, for two phases in one definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from trtdream.net.kind import Kind, Phase
from trtdream.net.parameters import Signed


@dataclass(frozen=True)
class Rule:
    """When a layer is included or excluded; every condition that is given must hold (Caffe's NetStateRule)."""

    phase: Phase | None = None
    min_level: Signed | None = None
    max_level: Signed | None = None
    stage: tuple[str, ...] = ()
    not_stage: tuple[str, ...] = ()

    def holds(self, state: State) -> bool:
        return (
            self.phase in (None, state.phase)
            and (self.min_level is None or state.level >= self.min_level)
            and (self.max_level is None or state.level <= self.max_level)
            and all(stage in state.stages for stage in self.stage)
            and not any(stage in state.stages for stage in self.not_stage)
        )


@dataclass(frozen=True)
class State:
    """What a network is instantiated for: the phase, and the level and stages that its rules may ask about."""

    phase: Phase
    level: int = 0
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParamSpec:
    """How one weight of a layer is trained, and the name under which layers share it.

    lr_mult and decay_mult multiply the solver's learning rate and weight decay.
    """

    name: str = ""
    lr_mult: float = 1.0
    decay_mult: float = 1.0
    permissive: bool = False


@dataclass(frozen=True)
class Layer:
    """One layer: its name, its kind with its parameters, and the blobs it reads and writes.

    loss_weight has one value a top, or none for the kind's default. line is where the layer stands in its prototxt.
    """

    name: str
    kind: Kind
    bottoms: tuple[str, ...] = ()
    tops: tuple[str, ...] = ()
    params: tuple[ParamSpec, ...] = ()
    loss_weight: tuple[float, ...] = ()
    include: tuple[Rule, ...] = ()
    exclude: tuple[Rule, ...] = ()
    propagate_down: tuple[bool, ...] = ()
    phase: Phase | None = None
    line: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        where = f", line {self.line}" if self.line else ""
        return f"layer {self.name!r} ({self.kind.type_name}{where})"

    def is_in(self, state: State) -> bool:
        """Whether the layer's rules let it into a network of that state."""
        if self.include:
            return any(rule.holds(state) for rule in self.include)
        return not any(rule.holds(state) for rule in self.exclude)

    def param(self, index: int) -> ParamSpec:
        """The specification of the layer's weight of that index."""
        return self.params[index] if index < len(self.params) else ParamSpec()

    def loss_weight_of(self, top: int) -> float:
        """How much a top counts in the loss that training minimises; 0 if not at all."""
        if self.loss_weight:
            return self.loss_weight[top] if top < len(self.loss_weight) else 0.0
        return 1.0 if self.kind.is_loss and top == 0 else 0.0


@dataclass(frozen=True)
class Net:
    """Layers in order, of all phases. `for_phase` picks those of one; `trtdream.net.graph` connects them.

    level and stages are those a file asks for itself; `for_phase` can be told others.
    """

    name: str
    layers: tuple[Layer, ...]
    force_backward: bool = False
    level: int = 0
    stages: tuple[str, ...] = ()

    def for_phase(self, phase: Phase, level: int | None = None, stages: Sequence[str] | None = None) -> Net:
        """The layers of one phase, without their rules (which have been obeyed)."""
        state = State(
            phase,
            self.level if level is None else level,
            self.stages if stages is None else tuple(stages),
        )
        kept = (replace(layer, include=(), exclude=()) for layer in self.layers if layer.is_in(state))
        return replace(self, layers=tuple(kept))
