"""Dataclasses as schemas of messages: types, defaults, repetition, and the line of what does not fit."""

from dataclasses import dataclass, field

import pytest

from trtdream.caffe.schema import read_message, slots, write_message
from trtdream.caffe.text import format_text, parse_text
from trtdream.errors import InputRefused
from trtdream.net.parameters import BlobShape, Engine, Filler, Signed


@dataclass(frozen=True)
class Everything:
    name: str = ""
    count: int = 3
    offset: Signed = -1
    ratio: float = 0.5
    flag: bool = True
    maybe: bool | None = None
    level: Signed | None = None
    engine: Engine = Engine.DEFAULT
    sizes: tuple[int, ...] = ()
    filler: Filler = Filler(value=1.0)  # noqa: RUF009  frozen
    shapes: tuple[BlobShape, ...] = ()
    elsewhere: int = field(default=0, metadata={"message": "other_param"})


def read(text: str, **beside: object) -> Everything:
    return read_message(Everything, parse_text(text, "x"), "x: layer 'a'", **beside)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Everything()),
        ("name: 'a'", Everything(name="a")),
        ("count: 4294 offset: -2", Everything(count=4294, offset=-2)),
        ("count: 0x10", Everything(count=16)),
        ("sizes: 1 count: 2 sizes: [3, 4]", Everything(count=2, sizes=(1, 3, 4))),
        ("flag: false maybe: true", Everything(flag=False, maybe=True)),
        ("level: 0", Everything(level=0)),
        ("engine: CUDNN", Everything(engine=Engine.CUDNN)),
        ("filler { }", Everything(filler=Filler())),
        ("filler { type: 'xavier' std: 2 }", Everything(filler=Filler("xavier", std=2))),
        ("shapes { dim: -1 dim: 2 } shapes { }", Everything(shapes=(BlobShape((-1, 2)), BlobShape()))),
    ],
)
def test_read_and_written_back(text: str, wanted: Everything) -> None:
    assert read(text) == wanted
    assert read(format_text(write_message(wanted))) == wanted


@pytest.mark.parametrize("text", ["true", "True", "t", "1"])
@pytest.mark.parametrize(("name", "false"), [("flag", {"true": "false", "True": "False", "t": "f", "1": "0"})])
def test_booleans(text: str, name: str, false: dict[str, str]) -> None:
    assert read(f"{name}: {text}").flag
    assert not read(f"{name}: {false[text]}").flag


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("1", 1), ("-1", -1), ("1.", 1), (".5", 0.5), ("-.5", -0.5), ("1e-4", 1e-4), ("1E+4", 1e4), ("5f", 5)),
        *(("1.5F", 1.5), ("2e3f", 2000), ("inf", float("inf")), ("-inf", -float("inf")), ("0.00999999977648", None)),
    ],
)
def test_numbers(text: str, number: float | None) -> None:
    found = read(f"ratio: {text}")
    assert found.ratio == (float(text) if number is None else number)
    assert read(format_text(write_message(found))) == found


@pytest.mark.parametrize(
    ("value", "text"), [(0.01, "0.01"), (1.0, "1"), (1e-5, "1e-05"), (0.1 + 0.2, "0.30000000000000004"), (1 / 3, None)]
)
def test_numbers_are_written_short_but_whole(value: float, text: str | None) -> None:
    written = format_text(write_message(Everything(ratio=value)))
    assert written == f"ratio: {text or repr(value)}\n"


def test_only_what_differs_is_written() -> None:
    assert write_message(Everything()).fields == ()
    assert format_text(write_message(Everything(count=3, flag=False))) == "flag: false\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("\ncont: 1", "2: unknown field 'cont'"),
        ("elsewhere: 1", "1: unknown field 'elsewhere'"),
        ("count: 1\ncount: 1", "2: field 'count' is given twice"),
        ("filler { }\n\nfiller { }", "3: field 'filler' is given twice"),
        ("filler {\n type: 'a'\n sdt: 1\n}", "3: unknown field 'sdt'"),
        ("name: a", "1: name: 'a' needs quotes"),
        ("name: 5", "1: name: '5' needs quotes"),
        ("count: '5'", "1: count: '5' stands in quotes"),
        ("engine: 'CAFFE'", "1: engine: 'CAFFE' stands in quotes"),
        ("engine: CUDA", "1: engine: 'CUDA' is none of DEFAULT, CAFFE, CUDNN"),
        ("engine: caffe", "1: engine: 'caffe' is none of"),
        ("count: 1.5", "1: count: '1.5' is no whole number"),
        ("count: 1e3", "1: count: '1e3' is no whole number"),
        ("count: 1_0", "1: count: '1_0' is no whole number"),
        ("count: -1", "1: count: -1 must not be negative"),
        ("sizes: [1, -2]", "1: sizes: -2 must not be negative"),
        ("count: 99999999999", "1: count: 99999999999 is too large"),
        ("offset: -99999999999", "1: offset: -99999999999 is too large"),
        ("ratio: MAX", "1: ratio: 'MAX' is no number"),
        ("ratio: 1_0", "1: ratio: '1_0' is no number"),
        ("ratio: f", "1: ratio: 'f' is no number"),
        ("flag: yes", "1: flag: 'yes' is neither true nor false"),
        ("flag: 2", "1: flag: '2' is neither true nor false"),
        ("filler: 1", "1: 'filler' is a message: filler { ... }"),
        ("count { }", "1: 'count' is a value, not a message"),
    ],
)
def test_refused(text: str, what: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        read(text)
    assert str(refusal.value).startswith(f"x: layer 'a':{what}")


def test_a_field_from_another_message() -> None:
    assert slots(Everything)["elsewhere"].message == "other_param"
    assert read("count: 1", elsewhere=7) == Everything(count=1, elsewhere=7)
    assert write_message(Everything(elsewhere=7)).fields == ()
