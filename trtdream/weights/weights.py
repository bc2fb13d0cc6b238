"""Weights by layer name, from files of every kind and to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trtdream.caffe.caffemodel import (
    HDF5_MAGIC,
    LayerWeights,
    caffemodel_from_weights,
    hdf5_from_weights,
    weights_from_caffemodel,
)
from trtdream.errors import InputRefused, UsageError
from trtdream.files import read_file, sha256, write_file
from trtdream.net.net import Net


@dataclass(frozen=True)
class Weights:
    """Weights as float32, in Caffe's layouts, and where they came from.

    sha256 is that of the file they were read from; metadata what a safetensors file says of itself.
    """

    layers: LayerWeights
    origin: str
    sha256: str
    metadata: Mapping[str, str] = field(default_factory=dict)


def load_weights(path: Path) -> Weights:
    """Read a .caffemodel (V1, V2 or HDF5) or a .safetensors file; what it is, its content says.

    Raises:
        UsageError: no such file.
        InputRefused: it is none of these, or is cut short.
    """
    content = read_file(path)
    if content.startswith(HDF5_MAGIC) or not _looks_like_safetensors(content):
        return Weights(weights_from_caffemodel(content, str(path)), str(path), sha256(content))
    layers, metadata = _from_safetensors(content, str(path))
    return Weights(layers, str(path), sha256(content), metadata)


def save_weights(path: Path, weights: Weights, net: Net | None = None) -> None:
    """Write weights in the form that the suffix names: .caffemodel, .caffemodel.h5 (or .h5), .safetensors.

    Args:
        net: the network of one phase whose layers a .caffemodel is to name; None writes the weights alone.

    Raises:
        UsageError: another suffix, or a form that cannot hold these layers' names.
    """
    if path.suffix == ".caffemodel":
        content = caffemodel_from_weights(weights.layers, net, path.stem)
    elif path.suffix in (".h5", ".hdf5"):
        content = hdf5_from_weights(weights.layers)
    elif path.suffix == ".safetensors":
        content = _to_safetensors(weights)
    else:
        raise UsageError(f"{path}: weights are written as .caffemodel, .caffemodel.h5 or .safetensors")
    write_file(path, content)


def _looks_like_safetensors(content: bytes) -> bool:
    """A safetensors file opens with the length of a JSON header and that header's brace."""
    return content[8:9] == b"{"


def _from_safetensors(content: bytes, origin: str) -> tuple[LayerWeights, Mapping[str, str]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
    except SafetensorError as error:
        raise InputRefused(f"{origin}: is no readable safetensors file ({error})") from error
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found: dict[str, dict[int, np.ndarray]] = {}
    for key, array in tensors.items():
        layer, _, index = key.rpartition(".")
        if not layer or not index.isdigit():
            raise InputRefused(f"{origin}: tensor {key!r} is not called LAYER.INDEX, so it is no weight of ours")
        found.setdefault(layer, {})[int(index)] = array.astype(np.float32)
    layers = {layer: tuple(arrays[i] for i in sorted(arrays)) for layer, arrays in found.items()}
    return layers, header.get("__metadata__", {})


def _to_safetensors(weights: Weights) -> bytes:
    from safetensors.numpy import save

    tensors = {
        f"{layer}.{index}": np.ascontiguousarray(array)
        for layer, arrays in weights.layers.items()
        for index, array in enumerate(arrays)
    }
    return bytes(save(tensors, dict(weights.metadata) or None))
