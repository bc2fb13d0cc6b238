"""Protobuf's text format: what it allows, and where it says that a file is wrong."""

import random
import string

import pytest

from trtdream.caffe.text import Field, Message, Scalar, format_text, parse_text
from trtdream.errors import InputRefused


def plain(message: Message) -> list[tuple[str, object]]:
    return [(f.name, plain(f.value) if isinstance(f.value, Message) else f.value.text) for f in message.fields]


def parsed(text: str) -> list[tuple[str, object]]:
    return plain(parse_text(text, "x"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("# only a comment", []),
        ("a: 1", [("a", "1")]),
        ("a: 1 b: 2", [("a", "1"), ("b", "2")]),
        ("a: 1, b: 2; c: 3,", [("a", "1"), ("b", "2"), ("c", "3")]),
        ("a { b: 1 }", [("a", [("b", "1")])]),
        ("a: { b: 1 }", [("a", [("b", "1")])]),
        ("a < b: 1 >", [("a", [("b", "1")])]),
        ("a: < b { c: 1 } >", [("a", [("b", [("c", "1")])])]),
        ("a{}b{}", [("a", []), ("b", [])]),
        ("a: [1, 2, 3] b: 4", [("a", "1"), ("a", "2"), ("a", "3"), ("b", "4")]),
        ("a: []", []),
        ("a: [{ b: 1 }, < >]", [("a", [("b", "1")]), ("a", [])]),
        ("a [{ b: 1 }]", [("a", [("b", "1")])]),
        ("a: -1 a: 1e-4 a: .5 a: 1.", [("a", "-1"), ("a", "1e-4"), ("a", ".5"), ("a", "1.")]),
        ("a: 5f a: -1.5E+3 a: 0x1F", [("a", "5f"), ("a", "-1.5E+3"), ("a", "0x1F")]),
        ("a: MAX b: true c: t", [("a", "MAX"), ("b", "true"), ("c", "t")]),
        ("a: 'single' b: \"double\"", [("a", "single"), ("b", "double")]),
        ("a: 'it\\'s' b: \"'\" c: '\"'", [("a", "it's"), ("b", "'"), ("c", '"')]),
        ("a: 'ab' \"cd\"\n'ef'", [("a", "abcdef")]),
        ("a: '# no comment' # a comment '\nb: 1", [("a", "# no comment"), ("b", "1")]),
        ("a:1\r\nb:2\r\n", [("a", "1"), ("b", "2")]),
        (r"a: '\n\t\r\\\"\a\b\f\v\?'", [("a", '\n\t\r\\"\a\b\f\v?')]),
        (r"a: '\x41\102\60\x0'", [("a", "AB0\0")]),
        (r"a: '\345\215\267\xe7\xa7\xaf'", [("a", "卷积")]),  # as protobuf itself writes such names
        ("a: '卷积'", [("a", "卷积")]),
    ],
)
def test_what_is_allowed(text: str, wanted: list) -> None:
    assert parsed(text) == wanted


def test_quotes_are_remembered() -> None:
    first, second = parse_text("a: MAX b: 'MAX'", "x").fields
    assert first.value == Scalar("MAX")
    assert second.value == Scalar("MAX", quoted=True)


def test_lines() -> None:
    message = parse_text("# one\na: 1\n\nb {\n  c: 'x'\n  d: [1,\n2]\n}", "x")
    b = message.all("b")[0]
    assert [f.line for f in message.fields] == [2, 4]
    assert isinstance(b.value, Message)
    assert [f.line for f in b.value.fields] == [5, 6, 7]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb", 2, "':' or '{' is wanted after 'b'"),
        ("a: 1\nb 2", 2, "':' or '{' is wanted after 'b', not '2'"),
        ("a 'x'", 1, "':' or '{' is wanted after 'a'"),
        ("a:", 1, "a value is wanted for 'a', not 'the end'"),
        ("a: }", 1, "a value is wanted for 'a', not '}'"),
        ("a {\n b: 1\n", 3, "the file ends, '}' for the one of line 1 is missing"),
        ("a {\n b < c: 1 }\n}", 2, "a field's name is wanted, not '}'"),
        ("a: 1\n}", 2, "a field's name is wanted, not '}'"),
        ("a: 1 }\n", 1, "a field's name is wanted, not '}'"),
        ("1: a", 1, "a field's name is wanted, not '1'"),
        ("a: 'open\nb: 1", 1, '"\'" is not closed in its line'),
        ("a:1b:2", 1, "a field's name is wanted, not ':'"),
        ('a: 1\n\nb: "open', 3, "is not closed"),
        ("a: 'x\\", 1, "is not closed"),
        ("\na: $5", 2, "'$' does not belong here"),
        ("a: [1, 2", 1, "',' or ']' is wanted in the list of 'a'"),
        ("a: [1 2]", 1, "',' or ']' is wanted"),
        ("a: [1, ]", 1, "a value is wanted for 'a', not ']'"),
        ("a: [[1]]", 1, "a value is wanted for 'a', not '['"),
        ("a: [1:2]", 1, "',' or ']' is wanted"),
        ("a: 1\nb: '\\377'", 2, "the text of 'b' is not UTF-8"),
        ("a {" * 60, 1, "nested more than 50 deep"),
        ("[a.b]: 1", 1, "a field's name is wanted"),
    ],
)
def test_syntax_errors_name_their_line(text: str, line: int, what: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        parse_text(text, "net.prototxt")
    assert str(refusal.value).startswith(f"net.prototxt:{line}: ")
    assert what in str(refusal.value)


def test_bytes_that_are_not_utf8_may_stand_in_comments_only() -> None:
    gbk = "# 卷积\na: 1".encode("gbk").decode("utf-8", "surrogateescape")
    assert parsed(gbk) == [("a", "1")]
    with pytest.raises(InputRefused, match=r"^x:1: the text of 'a' is not UTF-8"):
        parsed("a: '卷积'".encode("gbk").decode("utf-8", "surrogateescape"))


def random_message(random: random.Random, depth: int = 3) -> Message:
    def value() -> Scalar | Message:
        if depth and random.random() < 0.3:
            return random_message(random, depth - 1)
        if random.random() < 0.5:
            letters = string.printable + "\0\x7f\x80äé卷積😀"
            return Scalar("".join(random.choices(letters, k=random.randrange(8))), quoted=True)
        return Scalar(random.choice(["1", "-2.5e-7", "MAX", "true", "inf", "-inf", "0x10"]))

    return Message(tuple(Field(random.choice(["a", "b_c", "D9"]), value()) for _ in range(random.randrange(5))))


def test_round_trip() -> None:
    """Whatever a string holds: quotes, backslashes, control characters, any script."""
    rng = random.Random(0)
    for _ in range(300):
        message = random_message(rng)
        text = format_text(message)
        assert without_lines(parse_text(text, "x")) == without_lines(message)


def without_lines(message: Message) -> list:
    return [
        (f.name, without_lines(f.value) if isinstance(f.value, Message) else (f.value.text, f.value.quoted))
        for f in message.fields
    ]


def test_nothing_but_refusals_comes_of_garbage() -> None:
    rng = random.Random(1)
    pieces = [
        "a",
        "b:",
        "1",
        "{",
        "}",
        "<",
        ">",
        "[",
        "]",
        ",",
        ";",
        "'",
        '"',
        "\\",
        "\n",
        "#",
        ".",
        "-",
        "'x'",
        "\udcff",
    ]
    refused = 0
    for _ in range(3000):
        try:
            parse_text(" ".join(rng.choices(pieces, k=rng.randrange(12))), "x")
        except InputRefused as refusal:
            refused += 1
            assert str(refusal).startswith("x:")
    assert refused > 1000
