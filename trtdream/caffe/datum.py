"""Caffe's Datum: one sample of a database, raw pixels or an image file's bytes, with its label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trtdream.caffe.messages import message_class
from trtdream.errors import InputRefused

_FIELDS = {1: "channels", 2: "height", 3: "width", 5: "label", 7: "encoded"}
_DATA, _FLOAT_DATA = 4, 6


@dataclass(frozen=True)
class Datum:
    """A Datum's content. `data` is a view into the bytes it was read from, not a copy."""

    data: memoryview
    label: int
    channels: int
    height: int
    width: int
    encoded: bool

    def pixels(self, origin: str) -> np.ndarray:
        """C x H x W uint8 pixels (BGR for three channels) of a raw Datum, a view.

        Raises:
            InputRefused: it holds another number of bytes than C x H x W.
        """
        shape = (self.channels, self.height, self.width)
        if len(self.data) != int(np.prod(shape)) or not self.data:
            raise InputRefused(f"{origin}: holds {len(self.data)} bytes of pixels where C x H x W is {shape}")
        return np.frombuffer(self.data, np.uint8).reshape(shape)


def read_datum(content: bytes | memoryview, origin: str) -> Datum:
    """Parse a Datum without copying its pixels (protobuf copies them, and 200 kB a sample is felt).

    Raises:
        InputRefused: it is cut short, is no Datum, or holds float data.
    """
    values = dict.fromkeys(_FIELDS.values(), 0)
    data = memoryview(b"")
    view, place = memoryview(content), 0
    try:
        while place < len(view):
            tag, place = _varint(view, place)
            field, wire = tag >> 3, tag & 7
            if field == _FLOAT_DATA:
                raise InputRefused(f"{origin}: a Datum of float data, which is no picture")
            if wire == 0:
                value, place = _varint(view, place)
                if field in _FIELDS:
                    values[_FIELDS[field]] = value - 2**64 if value >= 2**63 else value
            elif wire == 2:
                length, place = _varint(view, place)
                if place + length > len(view):
                    raise IndexError
                if field == _DATA:
                    data = view[place : place + length]
                place += length
            else:
                raise IndexError
    except IndexError:
        raise InputRefused(f"{origin}: is no Datum, or is cut short ({len(view)} bytes)") from None
    encoded = bool(values["encoded"])
    return Datum(data, values["label"], values["channels"], values["height"], values["width"], encoded)


def raw_datum(pixels: np.ndarray, label: int) -> bytes:
    """The Datum of C x H x W uint8 pixels, as convert_imageset writes it."""
    message = message_class("Datum")()
    message.channels, message.height, message.width = pixels.shape
    message.data = np.ascontiguousarray(pixels, np.uint8).tobytes()
    message.label = label
    return message.SerializeToString()


def encoded_datum(content: bytes, label: int) -> bytes:
    """The Datum of an image file's bytes, as convert_imageset -encoded writes it."""
    message = message_class("Datum")()
    message.data, message.label, message.encoded = content, label, True
    return message.SerializeToString()


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
        if shift > 63:
            raise IndexError
