"""ONNX files that may come from anywhere, read without trusting them."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path, PurePosixPath

import onnx
from google.protobuf.message import DecodeError

from trtdream.errors import InputRefused
from trtdream.files import read_file

MAX_NODES = 100_000


def read_onnx(path: Path) -> onnx.ModelProto:
    """The model in a file, its external data not loaded but checked.

    Raises:
        UsageError: no such file.
        InputRefused: it is no ONNX model or cut short, has more than MAX_NODES nodes, tensors that hold more or less
            than their shape says, or external data outside its folder, behind a link, or beyond the file's end.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(read_file(path))
    except DecodeError as error:
        raise InputRefused(f"{path}: is no ONNX model, or is cut short") from error
    if not model.graph.node or not model.graph.output or not model.opset_import:
        raise InputRefused(f"{path}: is no ONNX model: it has no graph, or no opset")
    if len(model.graph.node) > MAX_NODES:
        raise InputRefused(f"{path}: has {len(model.graph.node)} nodes, more than {MAX_NODES}")
    for tensor in _tensors(model.graph, path):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _check_external(tensor, path)
        elif tensor.raw_data and len(tensor.raw_data) != _size(tensor):
            raise InputRefused(f"{path}: tensor {tensor.name!r} has {len(tensor.raw_data)} bytes, not {_size(tensor)}")
    return model


def external_files(model: onnx.ModelProto) -> list[str]:
    """Names of the files beside a model that hold its weights."""
    found = {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return sorted(found)


def _tensors(graph: onnx.GraphProto, path: Path, depth: int = 0) -> Iterator[onnx.TensorProto]:
    """All tensors of a graph and of the graphs within its nodes."""
    if depth > 8:
        raise InputRefused(f"{path}: has graphs within graphs within graphs, deeper than any network")
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors) if attribute.HasField("t") else attribute.tensors
            for inner in (attribute.g, *attribute.graphs) if attribute.HasField("g") else attribute.graphs:
                yield from _tensors(inner, path, depth + 1)


def _size(tensor: onnx.TensorProto) -> int:
    """Bytes that a tensor's shape and type want."""
    try:
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except KeyError:
        return len(tensor.raw_data)
    count = prod(tensor.dims)
    four_bit = tensor.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.FLOAT4E2M1)
    return (count + 1) // 2 if four_bit else count * int(kind.itemsize)


def _check_external(tensor: onnx.TensorProto, path: Path) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    inside = PurePosixPath(location)
    if not location or inside.is_absolute() or ".." in inside.parts or "\\" in location:
        raise InputRefused(f"{path}: tensor {tensor.name!r} lies in {location!r}, outside the model's folder")
    file = path.parent / location
    if not file.is_file() or not file.resolve().is_relative_to(path.parent.resolve()):
        raise InputRefused(f"{path}: tensor {tensor.name!r} lies in {location!r}, which is missing or a link elsewhere")
    offset, length = entries.get("offset", "0"), entries.get("length", str(_size(tensor)))
    if not (offset.isdigit() and length.isdigit() and int(length) == _size(tensor)):
        raise InputRefused(f"{path}: tensor {tensor.name!r} claims {length} bytes of {location!r}, not {_size(tensor)}")
    if int(offset) + int(length) > file.stat().st_size:
        raise InputRefused(f"{path}: tensor {tensor.name!r} reaches beyond the end of {location!r}")
