"""Between prototxt messages and the dataclasses that are their schema.

A dataclass' fields are the message's fields: their names, types and defaults (see `trtdream.net.parameters`). A
field that the dataclass has not, a value of another type, a single field given twice: each is refused with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from trtdream.caffe.text import Field, Message, Scalar
from trtdream.errors import InputRefused

T = TypeVar("T")


@dataclass(frozen=True)
class Slot:
    """One field of a schema: its type, whether it repeats, and the other message it comes from, if any."""

    name: str
    type: Any
    signed: bool
    repeated: bool
    default: Any
    message: str | None


def slots(schema: Any) -> dict[str, Slot]:
    """The fields of a dataclass, by name."""
    return _slots(schema)


@cache
def _slots(schema: Any) -> dict[str, Slot]:
    hints = get_type_hints(schema, include_extras=True)
    return {f.name: _slot(f, hints[f.name]) for f in fields(schema)}


def read_message(schema: Callable[..., T], message: Message, origin: str, **beside: Any) -> T:
    """A dataclass from a message of its fields.

    Args:
        beside: values of fields that come from elsewhere.

    Raises:
        InputRefused: see above; `origin` (file, layer) and the line stand in the message.
    """
    known = slots(schema)
    values: dict[str, Any] = dict(beside)
    for entry in message.fields:
        slot = known.get(entry.name)
        if slot is None or slot.message is not None:
            raise fault(origin, entry, f"unknown field {entry.name!r}")
        value = _value(slot, entry, origin)
        if slot.repeated:
            values[entry.name] = (*values.get(entry.name, ()), value)
        elif entry.name in values:
            raise fault(origin, entry, f"field {entry.name!r} is given twice")
        else:
            values[entry.name] = value
    return schema(**values)


def write_message(value: Any) -> Message:
    """The message of a dataclass: every field that differs from its default."""
    entries: list[Field] = []
    for slot in slots(type(value)).values():
        content = getattr(value, slot.name)
        if slot.message is None and content != slot.default:
            entries.extend(_entry(slot.name, item) for item in (content if slot.repeated else (content,)))
    return Message(tuple(entries))


def entries(name: str, values: Iterable[Any]) -> list[Field]:
    """One field of that name for each value."""
    return [_entry(name, value) for value in values]


def fault(origin: str, entry: Field, what: str) -> InputRefused:
    """The refusal of a field, with its line."""
    return InputRefused(f"{origin}:{entry.line}: {what}")


def _slot(declared: Any, hint: Any) -> Slot:
    default = declared.default if declared.default is not MISSING else None
    repeated = get_origin(hint) is tuple
    if repeated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        hint = next(arm for arm in get_args(hint) if arm is not NoneType)
    signed = hasattr(hint, "__metadata__")
    plain = get_args(hint)[0] if signed else hint
    return Slot(declared.name, plain, signed, repeated, default, declared.metadata.get("message"))


def _value(slot: Slot, entry: Field, origin: str) -> Any:
    if is_dataclass(slot.type) and isinstance(slot.type, type):
        if not isinstance(entry.value, Message):
            raise fault(origin, entry, f"{entry.name!r} is a message: {entry.name} {{ ... }}")
        return read_message(slot.type, entry.value, origin)
    if isinstance(entry.value, Message):
        raise fault(origin, entry, f"{entry.name!r} is a value, not a message")
    try:
        return _scalar(slot, entry.value)
    except ValueError as error:
        raise fault(origin, entry, f"{entry.name}: {error}") from error


def _scalar(slot: Slot, scalar: Scalar) -> Any:
    if (slot.type is str) != scalar.quoted:
        raise ValueError(f"{scalar.text!r} {'needs' if slot.type is str else 'stands in'} quotes")
    if slot.type is str:
        return scalar.text
    if slot.type is bool:
        if scalar.text not in _BOOLEANS:
            raise ValueError(f"{scalar.text!r} is neither true nor false")
        return _BOOLEANS[scalar.text]
    if slot.type is int:
        return _integer(scalar.text, slot.signed)
    if slot.type is float:
        return _number(scalar.text)
    if scalar.text not in slot.type.__members__:
        raise ValueError(f"{scalar.text!r} is none of {', '.join(slot.type.__members__)}")
    return slot.type[scalar.text]


_BOOLEANS = {
    "true": True,
    "True": True,
    "t": True,
    "1": True,
    "false": False,
    "False": False,
    "f": False,
    "0": False,
}


def _integer(text: str, signed: bool) -> int:
    try:
        number = int(text.replace("_", "?"), 0)  # Python would read 1_000
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None
    if number < 0 and not signed:
        raise ValueError(f"{text} must not be negative")
    if abs(number) >= 1 << 31:
        raise ValueError(f"{text} is too large")
    return number


def _number(text: str) -> float:
    digits = text[:-1] if re.fullmatch(r"[-+.0-9eE]+[fF]", text) else text
    try:
        return float(digits.replace("_", "?"))
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def _entry(name: str, value: Any) -> Field:
    if is_dataclass(value):
        return Field(name, write_message(value))
    if isinstance(value, bool):
        return Field(name, Scalar("true" if value else "false"))
    if isinstance(value, StrEnum):
        return Field(name, Scalar(value.name))
    if isinstance(value, str):
        return Field(name, Scalar(value, quoted=True))
    return Field(name, Scalar(_shortest(value) if isinstance(value, float) else str(value)))


def _shortest(number: float) -> str:
    """Nine digits, which are all that Caffe's float32 has; more only if the number was given with more."""
    text = f"{number:.9g}"
    return text if float(text) == number else repr(number)
