"""A network ready to be used: its layers, its weights, how it wants its pictures, what its classes are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trtdream.errors import InputRefused
from trtdream.net.graph import Graph, connect
from trtdream.net.kind import Phase, Shape
from trtdream.net.kinds.losses import SoftmaxWithLoss
from trtdream.net.kinds.probability import Accuracy, Softmax
from trtdream.net.net import Net
from trtdream.net.splits import blob_list, unsplit
from trtdream.runtime.preprocess import Preprocess
from trtdream.weights.weights import Weights

if TYPE_CHECKING:
    import torch

    from trtdream.net.torch_module import TorchNet


@dataclass(frozen=True)
class Model:
    """What `open_model` gives for a zoo name, a prototxt or a bundle.

    preprocess is None for a network that takes no pictures; labels is empty where nothing names the classes;
    assumption says, for whoever feeds it pictures, what nothing told of them.
    """

    net: Net
    weights: Weights
    preprocess: Preprocess | None
    labels: tuple[str, ...] = ()
    assumption: str = ""

    @cached_property
    def graph(self) -> Graph:
        """The TEST phase's."""
        return connect(self.net.for_phase(Phase.TEST))

    @property
    def provenance(self) -> dict[str, str]:
        """Which network and which weights: stands in every result."""
        return {"network": self.net.name, "weights": self.weights.origin, "weights_sha256": self.weights.sha256}

    @property
    def line(self) -> str:
        """The provenance for a reader."""
        return f"{self.net.name}, weights {Path(self.weights.origin).name} (sha256 {self.weights.sha256[:12]})"

    @property
    def pictures(self) -> Preprocess:
        """How it wants its pictures.

        Raises:
            InputRefused: it takes none.
        """
        if self.preprocess is None:
            raise InputRefused(f"{self.net.name}: its input is no picture; give it an .npy or .npz of blobs instead")
        return self.preprocess

    def label(self, index: int) -> str:
        """The name of a class, or its number where it has none."""
        return self.labels[index] if index < len(self.labels) else f"class {index}"

    def resolve(self, layer: str) -> tuple[int | None, str]:
        """What `--layer` means: an index into Caffe's blob list, or the name of a layer or blob.

        Returns:
            Its index in the list (None for a layer that writes in place) and the value's name in the graph.

        Raises:
            UsageError: no such index or name; the nearest names are offered.
        """
        return resolve_layer(self.graph, layer)

    def module(
        self,
        until: Sequence[str] | None = None,
        phase: Phase = Phase.TEST,
        inputs: Mapping[str, Shape] | None = None,
        device: torch.device | str = "cpu",
    ) -> TorchNet:
        """The torch module with these weights, its parameters frozen, in channels_last.

        Raises:
            InputRefused: the weights do not fit the network.
        """
        import torch

        from trtdream.net.torch_module import TorchNet

        module = TorchNet(self.net, phase, inputs, until)
        module.load(self.weights.layers, self.weights.origin)
        module.requires_grad_(False)
        return module.to(device=torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]

    def probabilities(self) -> tuple[str, bool]:
        """The value that holds the class probabilities, or the scores to take them from.

        Returns:
            Its name, and whether it is scores, which a softmax has yet to make probabilities.

        Raises:
            InputRefused: the network is no classifier.
        """
        for step in reversed(self.graph.steps):
            if isinstance(step.layer.kind, Softmax):
                return step.writes[0], False
        # networks of 2013 compute their loss in training alone: then the accuracy knows the scores
        for kind in (SoftmaxWithLoss, Accuracy):
            measures = [step for step in self.graph.steps if isinstance(step.layer.kind, kind)]
            if measures:
                return measures[-1].reads[0], True
        raise InputRefused(
            f"{self.net.name}: has no Softmax, so it is no classifier; `trtdream features` gives any blob"
        )


def resolve_layer(graph: Graph, layer: str) -> tuple[int | None, str]:
    """`Model.resolve` for a network without weights."""
    from trtdream.errors import UsageError

    names = blob_list(graph.net)
    if layer.isdecimal():
        index = int(layer)
        if index >= len(names):
            raise UsageError(
                f"layer {index} is not in the list of {graph.net.name}'s {len(names)} blobs, 0 to {len(names) - 1};"
                " `trtdream layers` shows it"
            )
        source = unsplit(graph.net).get(names[index], names[index])
        return index, graph.at_layer(source)
    source = unsplit(graph.net).get(layer, layer)
    return names.index(layer) if layer in names else None, graph.at_layer(source)


def as_document(model: Model, **results: Any) -> dict[str, Any]:
    """A `--json` document: what was computed, and by which network."""
    return {**model.provenance, **results}
