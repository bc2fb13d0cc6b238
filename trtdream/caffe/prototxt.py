"""Networks as prototxt: Caffe's deploy and train_val files to `Net`, and back."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any

import trtdream.net.kinds  # noqa: F401  fills the registry of kinds
from trtdream.caffe.schema import entries, fault, read_message, slots, write_message
from trtdream.caffe.text import Field, Message, format_text, parse_text
from trtdream.caffe.upgrade import upgrade_net
from trtdream.errors import InputRefused
from trtdream.files import read_file
from trtdream.net.kind import KINDS, Kind, Phase
from trtdream.net.net import Layer, Net, ParamSpec, Rule
from trtdream.net.parameters import Signed


class ShareMode(StrEnum):
    STRICT = "STRICT"
    PERMISSIVE = "PERMISSIVE"


@dataclass(frozen=True)
class _ParamMessage:
    """Caffe's ParamSpec."""

    name: str = ""
    share_mode: ShareMode = ShareMode.STRICT
    lr_mult: float = 1.0
    decay_mult: float = 1.0


@dataclass(frozen=True)
class _StateMessage:
    """Caffe's NetState. A file may name a phase, but it is the caller who chooses, as with Caffe's own tools."""

    phase: Phase | None = None
    level: Signed = 0
    stage: tuple[str, ...] = ()


@dataclass(frozen=True)
class _LayerMessage:
    """The fields of LayerParameter that every kind has."""

    name: str = ""
    type: str = ""
    bottom: tuple[str, ...] = ()
    top: tuple[str, ...] = ()
    phase: Phase | None = None
    loss_weight: tuple[float, ...] = ()
    param: tuple[_ParamMessage, ...] = ()
    propagate_down: tuple[bool, ...] = ()
    include: tuple[Rule, ...] = ()
    exclude: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class _NetMessage:
    """The fields of NetParameter beside its layers. `debug_info` only makes Caffe print more."""

    name: str = ""
    force_backward: bool = False
    debug_info: bool = False
    state: _StateMessage = _StateMessage()


def read_prototxt(path: Path) -> Net:
    """The network in a prototxt file.

    Raises:
        UsageError: no such file.
        InputRefused: a syntax error, an unknown kind or field, named with its line.
    """
    content = read_file(path)
    if b"\0" in content:
        raise InputRefused(f"{path}: is no text file, so no prototxt")
    # Comments may be in any encoding; where it matters, in a string, the parser insists on UTF-8.
    return net_from_text(content.decode("utf-8-sig", "surrogateescape"), str(path))


def net_from_text(text: str, origin: str) -> Net:
    """The network in a prototxt's text; `origin` stands in error messages and names a net that has no name."""
    message = upgrade_net(parse_text(text, origin), origin)
    rest = tuple(entry for entry in message.fields if entry.name != "layer")
    header = read_message(_NetMessage, Message(rest), origin)
    layers = tuple(_read_layer(entry, origin) for entry in message.all("layer"))
    if not layers:
        raise InputRefused(f"{origin}: holds no layers, so it is no network")
    return Net(
        header.name or Path(origin).stem,
        layers,
        header.force_backward,
        header.state.level,
        header.state.stage,
    )


def text_from_net(net: Net) -> str:
    """The prototxt of a network."""
    header = write_message(_NetMessage(net.name, net.force_backward, state=_StateMessage(None, net.level, net.stages)))
    layers = tuple(Field("layer", _write_layer(layer)) for layer in net.layers)
    return format_text(Message((*header.fields, *layers)))


def _read_layer(entry: Field, origin: str) -> Layer:
    if not isinstance(entry.value, Message):
        raise fault(origin, entry, "'layer' is a message: layer { ... }")
    name = entry.value.text("name")
    where = f"{origin}: layer {name!r}"
    kind_class = _kind_class(entry, where)
    common_names, messages = slots(_LayerMessage), _messages(kind_class)
    common = [field for field in entry.value.fields if field.name in common_names]
    for field in entry.value.fields:
        if field.name not in common_names and field.name not in messages:
            raise fault(where, field, f"unknown field {field.name!r} in a {kind_class.type_name} layer")
    read = read_message(_LayerMessage, Message(tuple(common)), where)
    if not name:
        raise fault(where, entry, "a layer needs a name")
    if read.include and read.exclude:
        raise fault(where, entry, "a layer has include rules or exclude rules, not both")
    return Layer(
        name=name,
        kind=_read_kind(kind_class, entry.value, where),
        bottoms=read.bottom,
        tops=read.top,
        params=tuple(_param_spec(spec) for spec in read.param),
        loss_weight=read.loss_weight,
        include=read.include,
        exclude=read.exclude,
        propagate_down=read.propagate_down,
        phase=read.phase,
        line=entry.line,
    )


def _kind_class(entry: Field, where: str) -> type[Kind]:
    assert isinstance(entry.value, Message)
    type_name = entry.value.text("type")
    if not type_name:
        raise fault(where, entry, "a layer needs a type")
    if type_name not in KINDS:
        near = get_close_matches(type_name, KINDS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise fault(where, entry, f"unknown layer kind {type_name!r}{hint}")
    return KINDS[type_name]


def _messages(kind_class: type[Kind]) -> dict[str, str | None]:
    """The prototxt messages a kind is read from, and the field each fills; None for its own fields."""
    beside: dict[str, str | None] = {slot.message: slot.name for slot in slots(kind_class).values() if slot.message}
    return {kind_class.message: None, **beside} if kind_class.message else beside


def _read_kind(kind_class: type[Kind], layer: Message, where: str) -> Kind:
    own = Message()
    beside: dict[str, Any] = {}
    for message_name, slot_name in _messages(kind_class).items():
        found = layer.all(message_name)
        if len(found) > 1:
            raise fault(where, found[1], f"{message_name} is given twice")
        if not found:
            continue
        if not isinstance(found[0].value, Message):
            raise fault(where, found[0], f"{message_name!r} is a message: {message_name} {{ ... }}")
        if slot_name is None:
            own = found[0].value
        else:
            beside[slot_name] = read_message(slots(kind_class)[slot_name].type, found[0].value, where)
    return read_message(kind_class, own, where, **beside)


def _param_spec(spec: _ParamMessage) -> ParamSpec:
    return ParamSpec(spec.name, spec.lr_mult, spec.decay_mult, spec.share_mode is ShareMode.PERMISSIVE)


def _write_layer(layer: Layer) -> Message:
    specs = [
        _ParamMessage(
            spec.name,
            ShareMode.PERMISSIVE if spec.permissive else ShareMode.STRICT,
            spec.lr_mult,
            spec.decay_mult,
        )
        for spec in layer.params
    ]
    fields = entries("name", [layer.name]) + entries("type", [layer.kind.type_name])
    fields += entries("bottom", layer.bottoms) + entries("top", layer.tops)
    fields += entries("phase", [layer.phase] if layer.phase else [])
    fields += entries("loss_weight", layer.loss_weight) + entries("param", specs)
    fields += entries("propagate_down", layer.propagate_down)
    fields += entries("include", layer.include)
    fields += entries("exclude", layer.exclude)
    own = write_message(layer.kind)
    if own.fields and layer.kind.message:
        fields.append(Field(layer.kind.message, own))
    for slot in slots(type(layer.kind)).values():
        if slot.message and getattr(layer.kind, slot.name) != slot.default:
            fields.append(Field(slot.message, write_message(getattr(layer.kind, slot.name))))
    return Message(tuple(fields))
