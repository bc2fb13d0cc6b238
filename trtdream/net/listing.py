"""A network as a table: its blobs in Caffe's order, and the layers behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trtdream.net.graph import connect
from trtdream.net.kind import Phase, Shape
from trtdream.net.net import Net
from trtdream.net.shapes import infer_shapes
from trtdream.net.splits import blob_list, insert_splits


@dataclass(frozen=True)
class BlobRow:
    """One blob: its index in Caffe's list, the layer that first writes it, and that layer's parameters and work.

    in_place names the layers that write the blob again.
    """

    index: int
    blob: str
    layer: str
    kind: str
    shape: Shape
    parameters: int
    macs: int
    in_place: tuple[str, ...]


def list_blobs(net: Net, phase: Phase = Phase.TEST, inputs: Mapping[str, Shape] | None = None) -> list[BlobRow]:
    """Rows in the order of `blob_list`. Weights that layers share are counted once, with the first.

    Raises:
        InputRefused: layers or shapes that do not fit.
        UsageError: an input whose shape nothing tells.
    """
    chosen = net.for_phase(phase)
    split = insert_splits(chosen)
    rows: dict[str, BlobRow] = {}
    counted: set[str] = set()
    for shapes in infer_shapes(connect(split), inputs):
        layer = shapes.step.layer
        parameters = 0
        for index, weight in enumerate(shapes.weights):
            name = layer.param(index).name
            parameters += 0 if name in counted else weight.size
            counted.update([name] if name else [])
        for top, (value, shape) in enumerate(zip(shapes.step.writes, shapes.tops, strict=True)):
            blob = layer.tops[top] if top < len(layer.tops) else value
            if blob in rows:
                row = rows[blob]
                rows[blob] = BlobRow(**{**vars(row), "in_place": (*row.in_place, layer.name)})
                continue
            own = (parameters, shapes.macs) if top == 0 else (0, 0)
            rows[blob] = BlobRow(len(rows), blob, layer.name, layer.kind.type_name, shape, *own, ())
    assert len(rows) == len(blob_list(chosen))
    return list(rows.values())
