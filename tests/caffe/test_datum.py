from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trtdream.caffe.datum import encoded_datum, raw_datum, read_datum
from trtdream.caffe.messages import message_class
from trtdream.errors import InputRefused


def test_encoded_is_byte_for_byte_caffes(truth: Path) -> None:
    content = (truth / "data" / "datum_encoded.bin").read_bytes()
    datum = read_datum(content, "it")
    assert (datum.encoded, datum.label, datum.channels, datum.height, datum.width) == (True, 7, 0, 0, 0)
    assert bytes(datum.data) == (truth / "nets" / "chelsea.jpg").read_bytes()
    assert encoded_datum(bytes(datum.data), 7) == content


def test_raw_against_protobuf() -> None:
    """Both ways against Google's own parser, with labels of one and of several bytes, and a negative one."""
    pixels = np.arange(3 * 5 * 7, dtype=np.uint8).reshape(3, 5, 7)
    for label in (0, 7, 999, 70_000, -1):
        content = raw_datum(pixels, label)
        message = message_class("Datum").FromString(content)
        assert (message.channels, message.height, message.width, message.label) == (3, 5, 7, label)
        assert message.data == pixels.tobytes()
        datum = read_datum(content, "it")
        assert (datum.channels, datum.height, datum.width, datum.label, datum.encoded) == (3, 5, 7, label, False)
        assert np.array_equal(datum.pixels("it"), pixels)


def test_raw_bytes_are_in_the_order_of_the_fields() -> None:
    """Worked out by hand from the protobuf encoding: channels 1, height 1, width 2, data, label 5."""
    assert raw_datum(np.array([[[17, 34]]], np.uint8), 5) == bytes([8, 1, 16, 1, 24, 2, 34, 2, 17, 34, 40, 5])


@pytest.mark.parametrize("cut", [1, 3, 40, 100])
def test_cut_short(cut: int) -> None:
    content = raw_datum(np.zeros((3, 8, 8), np.uint8), 1)
    with pytest.raises(InputRefused, match=r"key x: (is no Datum|holds 0 bytes)"):
        read_datum(content[:cut], "key x").pixels("key x")


def test_not_a_picture() -> None:
    message = message_class("Datum")()
    message.float_data.extend([1.0, 2.0])
    with pytest.raises(InputRefused, match="float data"):
        read_datum(message.SerializeToString(), "key x")
    with pytest.raises(InputRefused, match="is no Datum"):
        read_datum(b"\xff" * 30, "key x")
    wrong = message_class("Datum")(channels=3, height=4, width=4, data=b"12345")
    with pytest.raises(InputRefused, match=r"holds 5 bytes of pixels where C x H x W is \(3, 4, 4\)"):
        read_datum(wrong.SerializeToString(), "key x").pixels("key x")
