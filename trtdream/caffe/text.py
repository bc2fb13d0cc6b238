"""Protobuf's text format, as prototxt files use it: text to a tree with line numbers, and back.

    layer { name: "conv1" convolution_param { num_output: 96 kernel_size: 11 } }

The tree knows no schema: which fields exist and what they mean is said by `trtdream.caffe.schema`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from trtdream.errors import InputRefused


@dataclass(frozen=True)
class Scalar:
    """A number, an identifier (`MAX`, `true`) or a quoted string, not yet given a type."""

    text: str
    quoted: bool = False


@dataclass(frozen=True)
class Field:
    """One `name: value` or `name { ... }`, with the line it starts in."""

    name: str
    value: Scalar | Message
    line: int = 0


@dataclass(frozen=True)
class Message:
    """Fields in the order of the file; the same name may stand several times."""

    fields: tuple[Field, ...] = ()
    line: int = 0

    def all(self, name: str) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.name == name)

    def text(self, name: str, default: str = "") -> str:
        """The last scalar of that name, as it stands in the file."""
        found = [f.value.text for f in self.all(name) if isinstance(f.value, Scalar)]
        return found[-1] if found else default


_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
      | (?P<word>[-+]?[A-Za-z0-9_.][A-Za-z0-9_.+-]*)
      | (?P<mark>[:{}<>\[\],;])""",
    re.VERBOSE | re.DOTALL,
)
_CLOSING = {"{": "}", "<": ">"}
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_MAX_DEPTH = 50


def parse_text(text: str, origin: str) -> Message:
    """Parse a prototxt's text; bytes that are not UTF-8 may stand in comments, as surrogates.

    Raises:
        InputRefused: a syntax error, named with its line.
    """
    return _Parser(text, origin).message(closing=None, line=1, depth=0)


def format_text(message: Message, indent: int = 0) -> str:
    """The text of a tree, two spaces a level, one field a line."""
    lines = []
    pad = "  " * indent
    for entry in message.fields:
        if isinstance(entry.value, Message):
            inner = format_text(entry.value, indent + 1)
            lines.append(f"{pad}{entry.name} {{\n{inner}{pad}}}\n")
        elif entry.value.quoted:
            lines.append(f'{pad}{entry.name}: "{_escape(entry.value.text)}"\n')
        else:
            lines.append(f"{pad}{entry.name}: {entry.value.text}\n")
    return "".join(lines)


@dataclass
class _Token:
    text: str
    kind: str
    line: int


@dataclass
class _Parser:
    text: str
    origin: str
    tokens: list[_Token] = field(init=False)
    position: int = 0

    def __post_init__(self) -> None:
        self.tokens = list(self._scan())

    def message(self, closing: str | None, line: int, depth: int) -> Message:
        if depth > _MAX_DEPTH:
            raise self._fault(line, f"messages nested more than {_MAX_DEPTH} deep")
        fields: list[Field] = []
        while True:
            token = self._next()
            if token.kind == "end":
                if closing is None:
                    return Message(tuple(fields), line)
                raise self._fault(token.line, f"the file ends, '{closing}' for the one of line {line} is missing")
            if token.text == closing and token.kind == "mark":
                return Message(tuple(fields), line)
            if token.text in ",;":
                continue
            if token.kind != "word" or not re.match(r"[A-Za-z_]", token.text):
                raise self._fault(token.line, f"a field's name is wanted, not {token.text!r}")
            fields.extend(self._field(token, depth))

    def _field(self, name: _Token, depth: int) -> Iterator[Field]:
        token = self._next()
        colon = token.text == ":" and token.kind == "mark"
        if colon:
            token = self._next()
        if not colon and not (token.kind == "mark" and token.text in "{<["):
            raise self._fault(token.line, f"':' or '{{' is wanted after {name.text!r}, not {token.text!r}")
        if token.kind == "mark" and token.text == "[":
            yield from self._list(name, depth)
        else:
            yield Field(name.text, self._value(token, name, depth), name.line)

    def _list(self, name: _Token, depth: int) -> Iterator[Field]:
        token = self._next()
        if token.kind == "mark" and token.text == "]":
            return
        while True:
            yield Field(name.text, self._value(token, name, depth), token.line)
            token = self._next()
            if token.kind == "mark" and token.text == "]":
                return
            if token.kind != "mark" or token.text != ",":
                raise self._fault(token.line, f"',' or ']' is wanted in the list of {name.text!r}")
            token = self._next()

    def _value(self, token: _Token, name: _Token, depth: int) -> Scalar | Message:
        if token.kind == "mark" and token.text in _CLOSING:
            return self.message(_CLOSING[token.text], token.line, depth + 1)
        if token.kind == "word":
            return Scalar(token.text)
        if token.kind != "string":
            raise self._fault(token.line, f"a value is wanted for {name.text!r}, not {token.text or 'the end'!r}")
        content = _unescape(token.text[1:-1])
        while self.tokens[self.position].kind == "string":
            content += _unescape(self._next().text[1:-1])
        try:
            return Scalar(content.decode(), quoted=True)
        except UnicodeDecodeError as error:
            raise self._fault(token.line, f"the text of {name.text!r} is not UTF-8") from error

    def _next(self) -> _Token:
        token = self.tokens[self.position]
        self.position += token.kind != "end"
        return token

    def _scan(self) -> Iterator[_Token]:
        position, line = 0, 1
        while position < len(self.text):
            match = _TOKEN.match(self.text, position)
            if match is None:
                letter = self.text[position]
                open_text = "is not closed in its line" if letter in "\"'" else "does not belong here"
                raise self._fault(line, f"{letter!r} {open_text}")
            if match.lastgroup != "space":
                yield _Token(match.group(), match.lastgroup or "", line)
            line += match.group().count("\n")
            position = match.end()
        yield _Token("", "end", line)

    def _fault(self, line: int, what: str) -> InputRefused:
        return InputRefused(f"{self.origin}:{line}: {what}")


def _unescape(text: str) -> bytes:
    """The bytes of a string: protobuf writes letters beyond ASCII as one octal escape a byte."""

    def one(match: re.Match[bytes]) -> bytes:
        octal, hexadecimal, letter = match.groups()
        if octal or hexadecimal:
            return bytes([int(octal, 8) & 255 if octal else int(hexadecimal, 16)])
        return _ESCAPED.get(letter, letter)

    return _ESCAPE.sub(one, text.encode("utf-8", "surrogateescape"))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
