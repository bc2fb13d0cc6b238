"""What a layer kind is, and the registry of kinds.

A kind is declared in one place: a frozen dataclass under `trtdream/net/kinds/` whose fields are the fields of its
prototxt message, with its shape rule, its weights and its torch form as methods. `@layer_kind` registers it under
Caffe's type name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from trtdream.net.parameters import Filler

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer

Shape = tuple[int, ...]
MANY = 1_000_000


class Phase(StrEnum):
    TRAIN = "TRAIN"
    TEST = "TEST"


@dataclass(frozen=True)
class Weight:
    """A weight that a layer of this kind owns: its shape and how it starts.

    `learned` is False for running statistics, which no solver touches.
    """

    shape: Shape
    filler: Filler = Filler()
    learned: bool = True

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True)
class Reach:
    """Which places of the bottom a place of the top is made of; every pair is (height, width).

    Place i is made of the places i * stride - pad to i * stride - pad + extent - 1; outside the bottom lies padding.
    """

    extent: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Kind:
    """Base of all layer kinds. Methods raise ValueError for what cannot be; the caller names the layer.

    Class attributes:
        type_name: Caffe's name of the kind, `Convolution`.
        message: the prototxt message its fields come from, `convolution_param`; None if it has none.
        v1_name: its name in legacy `layers { type: CONVOLUTION }` files; None if it is younger.
        bottoms, tops: least and greatest number of each.
        may_be_in_place: whether a top may carry its bottom's name.
        is_loss: whether its first top counts as a loss of weight 1 without being told so.
        is_input: whether its tops are given from outside.
        can_overwrite: whether `overwrite` exists.
        frees_top: whether neither it nor its gradient needs its top's value again.
    """

    type_name: ClassVar[str]
    message: ClassVar[str | None] = None
    v1_name: ClassVar[str | None] = None
    bottoms: ClassVar[tuple[int, int]] = (1, 1)
    tops: ClassVar[tuple[int, int]] = (1, 1)
    may_be_in_place: ClassVar[bool] = False
    is_loss: ClassVar[bool] = False
    is_input: ClassVar[bool] = False
    can_overwrite: ClassVar[bool] = False
    frees_top: ClassVar[bool] = False

    def check(self) -> None:
        """Raises ValueError if the parameters contradict each other, whatever the shapes."""

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        """Shapes of the `tops` tops, given those of the bottoms."""
        return [bottoms[0]] * tops

    def weights(self, bottoms: Sequence[Shape]) -> Sequence[Weight]:
        """The weights the layer owns, in Caffe's order (weight, bias)."""
        return ()

    def reach(self) -> Reach | None:
        """Which places of its bottoms N x C x H x W a place of its tops is made of; None: of any, or it has none."""
        return None

    def macs(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> int:
        """Multiply-accumulates of one forward pass: those of convolutions and inner products, by custom."""
        return 0

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        """The torch form: the tops' values. Pure, but for running statistics updated in TRAIN."""
        raise NotImplementedError(self.type_name)

    def to_onnx(self, layer: OnnxLayer) -> None:
        """The ONNX form: the nodes that write the layer's tops in the TEST phase.

        Raises:
            ValueError: the kind, or these parameters of it, have none.
        """
        raise ValueError(f"{self.type_name} has no ONNX form; name blobs before it with --until")

    def overwrite(self, x: Tensor) -> Tensor:
        """The same on a bottom that nobody needs any more, and whose memory may be used for the top."""
        raise NotImplementedError(self.type_name)


KINDS: dict[str, type[Kind]] = {}

K = TypeVar("K", bound=type[Kind])


def layer_kind(type_name: str, *, message: str | None = None, v1: str | None = None) -> Callable[[K], K]:
    """Register a kind under Caffe's type name; a second one of that name fails at import."""

    def register(kind: K) -> K:
        if type_name in KINDS:
            raise RuntimeError(f"two layer kinds are called {type_name}")
        kind.type_name, kind.message, kind.v1_name = type_name, message, v1
        KINDS[type_name] = kind
        return kind

    return register


def beside(message: str, default: Any) -> Any:
    """A dataclass field read from another message of the layer, as `loss_param` is."""
    return field(default=default, metadata={"message": message})


def canonical_axis(axis: int, dimensions: int) -> int:
    """The axis counted from the front; negative ones count from the end.

    Raises:
        ValueError: there is no such axis.
    """
    if not -dimensions <= axis < dimensions:
        raise ValueError(f"axis {axis} does not exist in {dimensions} dimensions")
    return axis % dimensions
