"""What a layer kind sees of an ONNX graph while it writes itself into it.

`net/` imports no onnx: a kind's `to_onnx` gets an `OnnxLayer`, its own place in the graph, and adds nodes there.
`trtdream.export` has the graph behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from trtdream.net.kind import Shape


@dataclass(frozen=True)
class OnnxValue:
    """A tensor of the graph.

    shape: at the sizes the graph is written for. dynamic: the axes that may differ when it runs, the batch's first.
    """

    name: str
    shape: Shape
    dynamic: frozenset[int] = frozenset()

    def target(self) -> np.ndarray:
        """The shape as a Reshape wants it: -1 for the axis that may differ.

        Raises:
            ValueError: more than one may.
        """
        if len(self.dynamic) > 1:
            raise ValueError(f"its top {self.shape} has several sizes that may change: give a fixed size")
        return np.array([-1 if axis in self.dynamic else size for axis, size in enumerate(self.shape)], np.int64)

    def fixed(self, axes: Sequence[int]) -> Shape:
        """The sizes along axes that must not change when the graph runs.

        Raises:
            ValueError: one of them may.
        """
        if moving := sorted(self.dynamic.intersection(axes)):
            raise ValueError(f"axis {moving[0]} of its bottom may change, and its ONNX form needs a fixed size there")
        return tuple(self.shape[axis] for axis in axes)


class OnnxLayer(Protocol):
    """One layer's place in the graph: what it reads and writes, and the means to add nodes.

    The node that writes a top carries the layer's name, others `layer/part`.
    """

    @property
    def bottoms(self) -> Sequence[OnnxValue]: ...

    @property
    def tops(self) -> Sequence[OnnxValue]: ...

    @property
    def lrn_as_convolution(self) -> bool:
        """Whether LRN is to be a banded 1 x 1 convolution rather than the operator, which is float32 only."""
        ...

    @property
    def weights(self) -> Sequence[np.ndarray]:
        """The layer's own weights, float32."""
        ...

    def weight(self, index: int) -> str:
        """The initialiser of one of the layer's weights as it is."""
        ...

    def constant(self, part: str, values: np.ndarray | float) -> str:
        """An initialiser `layer/part`; floating numbers take the graph's type, integers become int64."""
        ...

    def part(self, part: str, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add the node `layer/part` and give its output's name."""
        ...

    def parts(self, parts: Sequence[str], operator: str, *inputs: str, **attributes: Any) -> Sequence[str]:
        """The same for a node with several outputs, `layer/part` each; the first names the node."""
        ...

    def top(self, operator: str, *inputs: str, index: int = 0, **attributes: Any) -> None:
        """Add the node that writes the top of that index."""
        ...

    def all_tops(self, operator: str, *inputs: str, **attributes: Any) -> None:
        """Add the one node that writes all tops."""
        ...

    def reduce(self, part: str | None, operator: str, x: str, axes: Sequence[int], keep: bool) -> str:
        """Add a reduction over axes, as `layer/part` or (None) as the top. Its signature depends on the opset."""
        ...

    def cast(self, part: str | None, x: str) -> str:
        """Add a conversion to the graph's floating type, as `layer/part` or (None) as the top."""
        ...

    def wide(self) -> OnnxLayer:
        """The same place computing in float32, whatever the graph's type: bottoms and tops are converted."""
        ...
