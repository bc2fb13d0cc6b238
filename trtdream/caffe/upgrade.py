"""Older prototxt files brought to today's form, as Caffe's upgrade_proto does, before anything is read from them."""

from __future__ import annotations

from dataclasses import replace

from trtdream.caffe.schema import fault
from trtdream.caffe.text import Field, Message, Scalar
from trtdream.net.kind import KINDS

_DATA_MESSAGES = {"data_param", "image_data_param", "window_data_param"}
_TRANSFORMATIONS = {"scale", "mean_file", "crop_size", "mirror"}


def upgrade_net(message: Message, origin: str) -> Message:
    """`layers { type: CONVOLUTION }` becomes `layer { type: "Convolution" }`, `input:` an Input layer.

    Raises:
        InputRefused: a legacy type that has no kind today, legacy and new layers in one file, sizes of inputs that have
            no name, or a form older still.
    """
    legacy = message.all("layers")
    if legacy and message.all("layer"):
        raise fault(origin, legacy[0], "legacy 'layers' and new 'layer' entries in one file")
    sizes = (*message.all("input_dim"), *message.all("input_shape"))
    if sizes and not message.all("input"):
        raise fault(origin, sizes[0], f"{sizes[0].name} without an input: nothing has that size")
    upgraded = [_input_layer(message, origin)] if message.all("input") else []
    for entry in message.fields:
        if entry.name == "layers":
            upgraded.append(_upgrade_layer(entry, origin))
        elif entry.name == "layer":
            upgraded.append(_upgrade_data(entry))
        elif entry.name not in ("input", "input_dim", "input_shape"):
            upgraded.append(entry)
    return replace(message, fields=tuple(upgraded))


def _input_layer(message: Message, origin: str) -> Field:
    """Net-level `input`, `input_dim` and `input_shape` as Caffe's layer called "input"."""
    inputs = message.all("input")
    dims = message.all("input_dim")
    shapes = [replace(shape, name="shape") for shape in message.all("input_shape")]
    if dims:
        if shapes or len(dims) % 4 or len(dims) != 4 * len(inputs):
            raise fault(origin, dims[0], f"{len(dims)} input_dim for {len(inputs)} input: four each are wanted")
        for start in range(0, len(dims), 4):
            four = tuple(replace(dim, name="dim") for dim in dims[start : start + 4])
            shapes.append(Field("shape", Message(four, dims[start].line), dims[start].line))
    line = inputs[0].line
    fields = [
        Field("name", Scalar("input", quoted=True), line),
        Field("type", Scalar("Input", quoted=True), line),
        *(replace(entry, name="top") for entry in inputs),
        Field("input_param", Message(tuple(shapes), line), line),
    ]
    return Field("layer", Message(tuple(fields), line), line)


def _upgrade_layer(entry: Field, origin: str) -> Field:
    if not isinstance(entry.value, Message):
        raise fault(origin, entry, "'layers' is a message: layers { ... }")
    if entry.value.all("layer"):
        raise fault(
            origin,
            entry,
            "'layers { layer { } }' is the form of 2013: upgrade the file with Caffe's upgrade_net_proto_text",
        )
    names = {kind.v1_name: name for name, kind in KINDS.items() if kind.v1_name}
    fields: list[Field] = []
    for field in entry.value.fields:
        if field.name == "type" and isinstance(field.value, Scalar):
            if field.value.text not in names:
                where = f"{origin}: layer {entry.value.text('name')!r}"
                raise fault(where, field, f"unknown legacy layer type {field.value.text}")
            fields.append(replace(field, value=Scalar(names[field.value.text], quoted=True)))
        elif field.name not in ("blobs_lr", "weight_decay", "param", "blob_share_mode"):
            fields.append(field)
    fields.extend(_param_specs(entry.value))
    return _upgrade_data(Field("layer", Message(tuple(fields), entry.value.line), entry.line))


def _param_specs(layer: Message) -> list[Field]:
    """`blobs_lr`, `weight_decay`, `param` and `blob_share_mode`, each one value a weight, as `param { }` messages."""
    columns = {
        "param": "name",
        "blobs_lr": "lr_mult",
        "weight_decay": "decay_mult",
        "blob_share_mode": "share_mode",
    }
    count = max(len(layer.all(name)) for name in columns)
    specs: list[list[Field]] = [[] for _ in range(count)]
    for old, new in columns.items():
        for spec, entry in zip(specs, layer.all(old), strict=False):
            spec.append(replace(entry, name=new))
    return [Field("param", Message(tuple(spec), layer.line), layer.line) for spec in specs]


def _upgrade_data(entry: Field) -> Field:
    """Scale, mean, crop and mirror moved from a data layer's own message into `transform_param`."""
    if not isinstance(entry.value, Message):
        return entry
    moved: list[Field] = []
    kept: list[Field] = []
    for field in entry.value.fields:
        if field.name in _DATA_MESSAGES and isinstance(field.value, Message):
            moved += [f for f in field.value.fields if f.name in _TRANSFORMATIONS]
            rest = tuple(f for f in field.value.fields if f.name not in _TRANSFORMATIONS)
            kept.append(replace(field, value=replace(field.value, fields=rest)))
        else:
            kept.append(field)
    if not moved:
        return entry
    given = [field for field in kept if field.name == "transform_param" and isinstance(field.value, Message)]
    kept = [field for field in kept if field not in given]
    for field in given:
        assert isinstance(field.value, Message)
        moved += field.value.fields
    kept.append(Field("transform_param", Message(tuple(moved), moved[0].line), moved[0].line))
    return replace(entry, value=replace(entry.value, fields=tuple(kept)))
