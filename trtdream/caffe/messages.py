"""Caffe's binary messages, as far as trtdream reads or writes them.

The table gives each field's number and type as Caffe's files have them. Two things differ from a
literal schema, both only in how Python sees the same bytes: packed `float` and `double` data are declared as
`bytes`, so that numpy reads 61 million weights without making 61 million Python numbers; and fields that
trtdream has no use for are left out (protobuf skips them).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from trtdream.errors import InputRefused

_TYPES = {
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "float": descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
}

# message -> field -> (number, type); a trailing * means repeated, ** repeated and packed.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "BlobShape": {"dim": (1, "int64**")},
    "BlobProto": {
        "num": (1, "int32"),
        "channels": (2, "int32"),
        "height": (3, "int32"),
        "width": (4, "int32"),
        "data": (5, "bytes"),
        "shape": (7, "BlobShape"),
        "double_data": (8, "bytes"),
    },
    "Layer": {
        "name": (1, "string"),
        "type": (2, "string"),
        "bottom": (3, "string*"),
        "top": (4, "string*"),
        "blobs": (7, "BlobProto*"),
    },
    "V1Layer": {
        "bottom": (2, "string*"),
        "top": (3, "string*"),
        "name": (4, "string"),
        "type": (5, "int32"),
        "blobs": (6, "BlobProto*"),
    },
    "Net": {
        "name": (1, "string"),
        "layers": (2, "V1Layer*"),
        "layer": (100, "Layer*"),
    },
    "Datum": {
        "channels": (1, "int32"),
        "height": (2, "int32"),
        "width": (3, "int32"),
        "data": (4, "bytes"),
        "label": (5, "int32"),
        "float_data": (6, "float*"),
        "encoded": (7, "bool"),
    },
    "SolverState": {
        "iter": (1, "int32"),
        "learned_net": (2, "string"),
        "history": (3, "BlobProto*"),
        "current_step": (4, "int32"),
    },
}


@cache
def message_class(name: str) -> Any:
    """The protobuf class of a message in the table, e.g. `message_class("Net")`."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"trtdream.caffe.{name}"))


@cache
def _pool() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="trtdream/caffe.proto", package="trtdream.caffe", syntax="proto2")
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for field_name, (number, declared) in fields.items():
            scalar = declared.rstrip("*")
            field = message.field.add(name=field_name, number=number)
            field.label = field.LABEL_REPEATED if "*" in declared else field.LABEL_OPTIONAL
            if scalar in _TYPES:
                field.type = _TYPES[scalar]
                field.options.packed = declared.endswith("**")
            else:
                field.type = field.TYPE_MESSAGE
                field.type_name = f".trtdream.caffe.{scalar}"
            if not field.options.packed:
                field.ClearField("options")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def parse(name: str, content: bytes, origin: str) -> Any:
    """Parse a binary message.

    Raises:
        InputRefused: the bytes are no such message, or stop in the middle of one.
    """
    try:
        return message_class(name).FromString(content)
    except DecodeError as error:
        raise InputRefused(f"{origin}: is no Caffe {name} message, or is cut short") from error


def array_from_blob(blob: Any, origin: str) -> np.ndarray:
    """A BlobProto's values as float32, in its `shape`, or its legacy num x channels x height x width.

    One with neither is a single number: Caffe writes no shape for a blob without axes (Blob::ToProto).

    Raises:
        InputRefused: the number of values is not what the shape says.
    """
    legacy = any(blob.HasField(side) for side in ("num", "channels", "height", "width"))
    shape = (blob.num, blob.channels, blob.height, blob.width) if legacy else tuple(blob.shape.dim)
    values = (
        np.frombuffer(_whole(blob.double_data, 8, origin), "<f8")
        if blob.double_data
        else np.frombuffer(_whole(blob.data, 4, origin), "<f4")
    )
    if values.size != prod(shape) or min(shape, default=1) < 1:
        raise InputRefused(f"{origin}: holds {values.size} values where its shape {shape} wants another number")
    return values.astype(np.float32).reshape(shape)


def fill_blob(blob: Any, array: np.ndarray, legacy_shape: Sequence[int] | None = None) -> None:
    """Write an array into a BlobProto, with its shape (none for a single number), or with four legacy dimensions."""
    if legacy_shape is None:
        if array.shape:
            blob.shape.dim.extend(array.shape)
    else:
        blob.num, blob.channels, blob.height, blob.width = legacy_shape
    blob.data = np.ascontiguousarray(array, "<f4").tobytes()


def _whole(content: bytes, size: int, origin: str) -> bytes:
    if len(content) % size:
        raise InputRefused(f"{origin}: its data are cut short ({len(content)} bytes)")
    return content
