"""Weights in Caffe's .caffemodel files: binary V2 (`layer`), binary V1 (`layers`), and HDF5."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

import numpy as np

from trtdream.caffe.messages import array_from_blob, fill_blob, message_class, parse
from trtdream.errors import InputRefused, UsageError
from trtdream.net.net import Net

LayerWeights = Mapping[str, tuple[np.ndarray, ...]]
"""Layer name -> its weights as float32, in Caffe's order (weight, bias)."""

_MOST_COMPRESSED = 1000  # how many times its file's size a dataset may have: what gzip can reach
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def weights_from_caffemodel(content: bytes, origin: str) -> dict[str, tuple[np.ndarray, ...]]:
    """The weights in a .caffemodel, V2, V1 or HDF5.

    Raises:
        InputRefused: it is none, is cut short, or holds no weights.
    """
    if content.startswith(HDF5_MAGIC):
        weights = _from_hdf5(content, origin)
    else:
        net = parse("Net", content, origin)
        weights = _from_layers([*net.layers, *net.layer], origin)
    if not weights:
        raise InputRefused(f"{origin}: holds no weights: it is no caffemodel")
    return weights


def caffemodel_from_weights(weights: LayerWeights, net: Net | None = None, name: str = "") -> bytes:
    """A V2 .caffemodel, which Caffe loads by layer name.

    With the net of one phase given, its layers stand in the file with their types, bottoms and tops; weights of
    layers that it has not are left out.
    """
    message = message_class("Net")(name=net.name if net else name)
    layers = [(layer.name, layer) for layer in net.layers] if net else [(each, None) for each in weights]
    for layer_name, layer in layers:
        entry = message.layer.add(name=layer_name)
        if layer is not None:
            entry.type = layer.kind.type_name
            entry.bottom.extend(layer.bottoms)
            entry.top.extend(layer.tops)
        for array in weights.get(layer_name, ()):
            fill_blob(entry.blobs.add(), array)
    return bytes(message.SerializeToString())


def hdf5_from_weights(weights: LayerWeights) -> bytes:
    """Caffe's HDF5 form: data/<layer>/<index>.

    Raises:
        UsageError: a layer's name holds a "/": Caffe itself can neither write nor read such an HDF5 file.
    """
    import h5py

    if slashed := [name for name in weights if "/" in name]:
        raise UsageError(
            f"Caffe cannot read a layer called {slashed[0]!r} from HDF5 (a '/' makes a group there): "
            "write a .caffemodel"
        )
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, arrays in weights.items():
            group = file.create_group(f"data/{name}")
            for index, array in enumerate(arrays):
                group.create_dataset(str(index), data=array.astype(np.float32))
    return buffer.getvalue()


def _from_layers(layers: Iterable[Any], origin: str) -> dict[str, tuple[np.ndarray, ...]]:
    return {
        layer.name: tuple(
            array_from_blob(blob, f"{origin}: layer {layer.name!r}, weight {index}")
            for index, blob in enumerate(layer.blobs)
        )
        for layer in layers
        if layer.blobs
    }


def _from_hdf5(content: bytes, origin: str) -> dict[str, tuple[np.ndarray, ...]]:
    import h5py

    found: dict[str, dict[int, np.ndarray]] = {}

    def visit(path: str, item: Any) -> None:
        layer, _, index = path.rpartition("/")
        if layer and isinstance(item, h5py.Dataset) and index.isdecimal():
            if item.nbytes > _MOST_COMPRESSED * len(content):
                raise ValueError(f"{path} claims {item.nbytes} bytes")
            found.setdefault(layer, {})[int(index)] = np.asarray(item[()], np.float32)

    try:
        with h5py.File(BytesIO(content), "r") as file:
            if "data" in file:
                file["data"].visititems(visit)
    except Exception as error:  # h5py answers damage with exceptions of many kinds
        raise InputRefused(f"{origin}: is no readable HDF5 file of weights, or is cut short") from error
    for layer, arrays in found.items():
        if max(arrays) >= len(arrays):
            raise InputRefused(f"{origin}: layer {layer!r} has weight {max(arrays)}, but only {len(arrays)} in all")
    return {layer: tuple(arrays[i] for i in sorted(arrays)) for layer, arrays in found.items()}
