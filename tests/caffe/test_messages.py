"""Caffe's binary messages: blobs of every form, and bytes that are none."""

import random
import struct

import numpy as np
import pytest

from trtdream.caffe.messages import array_from_blob, fill_blob, message_class, parse
from trtdream.errors import InputRefused


def blob(**fields: object) -> object:
    return message_class("BlobProto")(**fields)


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def test_wire_format() -> None:
    """Field numbers and types, byte for byte as caffe.proto lays them down."""
    message = message_class("BlobProto")()
    fill_blob(message, np.array([[1.0, 2.0]]))
    shape = b"\x3a\x04\x0a\x02\x01\x02"  # field 7: a message with the packed field 1
    data = b"\x2a\x08" + floats(1, 2)  # field 5: packed floats
    assert message.SerializeToString() in (data + shape, shape + data)
    legacy = message_class("BlobProto")()
    fill_blob(legacy, np.array([3.0]), legacy_shape=(1, 1, 1, 1))
    assert legacy.SerializeToString() == b"\x08\x01\x10\x01\x18\x01\x20\x01\x2a\x04" + floats(3)
    net = message_class("Net")(name="n")
    net.layer.add(name="l", type="t", bottom=["b"], top=["p"])
    assert net.SerializeToString() == b"\x0a\x01n\xa2\x06\x0c\x0a\x01l\x12\x01t\x1a\x01b\x22\x01p"


@pytest.mark.parametrize("shape", [(2, 3), (6,), (1, 1, 2, 3), (1, 2, 3, 1, 1)])
def test_round_trip(shape: tuple[int, ...]) -> None:
    array = np.arange(6, dtype=np.float32).reshape(shape)
    message = message_class("BlobProto")()
    fill_blob(message, array)
    found = array_from_blob(parse("BlobProto", message.SerializeToString(), "x"), "x")
    assert found.shape == shape
    np.testing.assert_array_equal(found, array)


def test_other_layouts_of_memory() -> None:
    array = np.arange(6.0).reshape(2, 3).T[::-1]
    message = message_class("BlobProto")()
    fill_blob(message, array)
    np.testing.assert_array_equal(array_from_blob(message, "x"), array)


def test_a_single_number() -> None:
    """Caffe writes neither shape nor legacy sides for a blob without axes, as a shared PReLU slope is."""
    found = array_from_blob(blob(data=floats(0.25)), "x")
    assert found.shape == ()
    assert found == 0.25
    message = message_class("BlobProto")()
    fill_blob(message, np.float32(0.5))
    assert message.SerializeToString() == b"\x2a\x04" + floats(0.5)
    assert array_from_blob(parse("BlobProto", message.SerializeToString(), "x"), "x").shape == ()


def test_legacy_sides_win() -> None:
    """As in Blob::FromProto; a side that is not given is 0."""
    both = blob(num=1, channels=1, height=2, width=3, shape={"dim": [6]}, data=floats(*range(6)))
    assert array_from_blob(both, "x").shape == (1, 1, 2, 3)
    with pytest.raises(InputRefused, match="6 values where its shape"):
        array_from_blob(blob(height=2, width=3, data=floats(*range(6))), "x")


def test_doubles() -> None:
    found = array_from_blob(blob(shape={"dim": [2]}, double_data=struct.pack("<2d", 0.5, -2)), "x")
    assert found.dtype == np.float32
    assert found.tolist() == [0.5, -2]


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({}, "holds 0 values"),
        ({"shape": {"dim": [2]}}, "holds 0 values where its shape .2,. wants another"),
        ({"shape": {"dim": [2]}, "data": floats(1)}, "holds 1 values"),
        ({"shape": {"dim": [2]}, "data": floats(1, 2)[:-1]}, "its data are cut short .7 bytes"),
        ({"shape": {"dim": [1]}, "double_data": b"1234"}, "cut short"),
        ({"shape": {"dim": [0]}}, "holds 0 values"),
        ({"shape": {"dim": [-1, -2]}, "data": floats(1, 2)}, "holds 2 values"),
        ({"shape": {"dim": [1 << 32, 1 << 32]}}, "holds 0 values"),
        ({"shape": {"dim": [1 << 62, 4, 2]}, "data": floats(1)}, "holds 1 values"),
        ({"num": 1, "channels": 3, "height": 2, "width": 1 << 30, "data": floats(1)}, "holds 1 values"),
    ],
)
def test_refused(fields: dict, what: str) -> None:
    with pytest.raises(InputRefused, match=f"^file: layer 'a': .*{what}"):
        array_from_blob(blob(**fields), "file: layer 'a'")


def test_every_cut_is_refused_or_smaller() -> None:
    """A message cut between two of its fields is a message; anywhere else it is none."""
    net = message_class("Net")(name="net")
    for name in "ab":
        fill_blob(net.layer.add(name=name).blobs.add(), np.ones(3))
    content = net.SerializeToString()
    whole = 0
    for end in range(len(content)):
        try:
            found = parse("Net", content[:end], "x")
        except InputRefused as refusal:
            assert str(refusal) == "x: is no Caffe Net message, or is cut short"
        else:
            whole += 1
            assert len(found.layer) < 2
    assert whole == 3  # nothing, the name, and one layer


def test_nothing_but_refusals_comes_of_garbage() -> None:
    rng = random.Random(0)
    for name in ("Net", "BlobProto", "Datum", "SolverState"):
        for _ in range(300):
            try:
                parse(name, rng.randbytes(rng.randrange(60)), "x")
            except InputRefused as refusal:
                assert f"is no Caffe {name} message" in str(refusal)
