"""The blob list as Caffe has it, with the Split layers it inserts wherever a blob has several readers.

Layer 68 of the classic list of GoogLeNet's 121 blobs is inception_4c/output only if these are counted
(Caffe's insert_splits.cpp).
"""

from __future__ import annotations

from dataclasses import replace

from trtdream.net.graph import AUTOMATIC, Graph, connect
from trtdream.net.kinds.combine import Split
from trtdream.net.net import Layer, Net


def insert_splits(net: Net) -> Net:
    """The network of one phase with a Split layer behind every top that is read more than once.

    The split of blob B, top number I of layer L, is called B_L_I_split and its tops B_L_I_split_0, _1, ... in the
    order of their readers. A loss weight written at the top counts as a first reader.
    """
    graph = connect(net)
    readers = _count_readers(graph)
    taken: dict[str, int] = {}
    layers: list[Layer] = []
    for step in graph.steps:
        bottoms = []
        for blob, value in zip(step.layer.bottoms, step.reads, strict=True):
            if readers[value] < 2:
                bottoms.append(blob)
                continue
            taken[value] = taken.get(value, _explicit_loss(graph, value)) + 1
            bottoms.append(f"{_split_name(graph, value)}_{taken[value] - 1}")
        layers.append(replace(step.layer, bottoms=tuple(bottoms)))
        for blob, value in zip(step.layer.tops, step.writes, strict=False):
            if readers[value] > 1:
                name = _split_name(graph, value)
                tops = tuple(f"{name}_{k}" for k in range(readers[value]))
                layers.append(Layer(name, Split(), bottoms=(blob,), tops=tops))
    return replace(net, layers=tuple(layers))


def blob_list(net: Net) -> list[str]:
    """The names of the blobs of a network of one phase, in Caffe's order: the classic list 0000 data .. 0120 prob."""
    names: list[str] = []
    seen: set[str] = set()
    for layer in insert_splits(net).layers:
        for top in layer.tops or ((AUTOMATIC,) if layer.kind.is_loss else ()):
            if top not in seen or top == AUTOMATIC:
                seen.add(top)
                names.append(top)
    return names


def unsplit(net: Net) -> dict[str, str]:
    """For each top of an inserted Split, the layer whose value it carries."""
    inserted = insert_splits(net)
    original = {layer.name for layer in net.layers}
    sources = {}
    writer: dict[str, str] = {}
    for layer in inserted.layers:
        if layer.name not in original:
            sources.update(dict.fromkeys(layer.tops, writer[layer.bottoms[0]]))
        writer.update(dict.fromkeys(layer.tops, layer.name))
    return sources


def _count_readers(graph: Graph) -> dict[str, int]:
    readers = {value: _explicit_loss(graph, value) for value in graph.values}
    for step in graph.steps:
        for value in step.reads:
            readers[value] += 1
    return readers


def _explicit_loss(graph: Graph, value: str) -> int:
    layer = graph.values[value].layer
    top = graph.values[value].writes.index(value)
    return int(top < len(layer.loss_weight) and layer.loss_weight[top] != 0)


def _split_name(graph: Graph, value: str) -> str:
    layer = graph.values[value].layer
    top = graph.values[value].writes.index(value)
    return f"{layer.tops[top]}_{layer.name}_{top}_split"
