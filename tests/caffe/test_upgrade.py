"""Files of 2013 to 2015 brought to today's form."""

import pytest

from trtdream.caffe.prototxt import net_from_text
from trtdream.errors import InputRefused
from trtdream.net.kind import KINDS
from trtdream.net.kinds.inputs import Data, ImageData, Input, WindowData
from trtdream.net.net import Layer, Net, ParamSpec
from trtdream.net.parameters import BlobShape, Transformation

RELU = 'layers { name: "r" type: RELU bottom: "data" top: "r" }'


def net(text: str) -> Net:
    return net_from_text(text, "old.prototxt")


@pytest.mark.parametrize(
    ("text", "tops", "shapes"),
    [
        ('input: "a" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4', ("a",), [(1, 2, 3, 4)]),
        (
            'input: "a" input_dim: [1, 2, 3, 4] input: "b" input_dim: [5, 6, 7, 8]',
            ("a", "b"),
            [(1, 2, 3, 4), (5, 6, 7, 8)],
        ),
        ('input: "a" input_shape { dim: 1 dim: 2 }', ("a",), [(1, 2)]),
        ('input: "a" input: "b" input_shape { dim: 1 } input_shape { dim: [2, 3] }', ("a", "b"), [(1,), (2, 3)]),
        ('input: "a"', ("a",), []),
    ],
)
def test_inputs_become_a_layer_called_input(text: str, tops: tuple[str, ...], shapes: list) -> None:
    first = net(f'{text} layer {{ name: "r" type: "ReLU" bottom: "a" top: "r" }}').layers[0]
    assert (first.name, first.tops) == ("input", tops)
    assert first.kind == Input(tuple(BlobShape(shape) for shape in shapes))


def test_the_input_layer_comes_first() -> None:
    found = net(f'{RELU} input: "data" input_dim: [1, 1, 1, 1]')
    assert [layer.name for layer in found.layers] == ["input", "r"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('\ninput: "a"\ninput_dim: [1, 2, 3]', "3: 3 input_dim for 1 input: four each are wanted"),
        ('input: "a" input: "b"\ninput_dim: [1, 2, 3, 4]', "2: 4 input_dim for 2 input"),
        ('input: "a" input_dim: [1, 2, 3, 4] input_shape { dim: 1 }', "1: 4 input_dim for 1 input"),
        ("\ninput_dim: 3", "2: input_dim without an input"),
        ("input_shape { dim: 3 }", "1: input_shape without an input"),
    ],
)
def test_inputs_refused(text: str, what: str) -> None:
    with pytest.raises(InputRefused, match=f"^old.prototxt:{what}"):
        net(f"{text}\n{RELU}")


@pytest.mark.parametrize("name", sorted(name for name, kind in KINDS.items() if kind.v1_name))
def test_every_legacy_type(name: str) -> None:
    text = f'layers {{ name: "a" type: {KINDS[name].v1_name} bottom: "x" top: "y" }}'
    found = net(text.replace("bottom", "top") if "DATA" in text else text)
    assert found.layers[0].kind == KINDS[name]()


@pytest.mark.parametrize(
    ("fields", "specs"),
    [
        ("", ()),
        ("blobs_lr: 1 blobs_lr: 2", (ParamSpec(), ParamSpec(lr_mult=2))),
        (
            "blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0",
            (ParamSpec(), ParamSpec(lr_mult=2, decay_mult=0)),
        ),
        ("weight_decay: 0", (ParamSpec(decay_mult=0),)),
        ('param: "w" param: "b" blobs_lr: 3', (ParamSpec("w", 3), ParamSpec("b"))),
        ('param: "w" blob_share_mode: PERMISSIVE', (ParamSpec("w", permissive=True),)),
    ],
)
def test_param_specs(fields: str, specs: tuple[ParamSpec, ...]) -> None:
    found = net(f'layers {{ name: "c" type: CONVOLUTION bottom: "x" top: "c" {fields} }}')
    assert found.layers[0].params == specs


DATA = 'source: "db" batch_size: 4 scale: 0.5 mean_file: "m" crop_size: 9 mirror: true'


@pytest.mark.parametrize(
    ("legacy", "message", "kind"),
    [
        ("DATA", "data_param", Data),
        ("IMAGE_DATA", "image_data_param", ImageData),
        ("WINDOW_DATA", "window_data_param", WindowData),
    ],
)
@pytest.mark.parametrize("v1", [True, False])
def test_transformations_move(legacy: str, message: str, kind: type[Data], v1: bool) -> None:
    head = f"layers {{ type: {legacy}" if v1 else f'layer {{ type: "{kind.type_name}"'
    wanted = Transformation(scale=0.5, mean_file="m", crop_size=9, mirror=True)
    text = f'{head} name: "d" top: "data" top: "label" {message} {{ {DATA} }}'
    assert net(text + "}").layers[0].kind == kind("db", 4, wanted)
    both = net(text + " transform_param { mean_value: 3 } }").layers[0].kind
    assert both == kind("db", 4, Transformation(0.5, True, 9, "m", (3.0,)))
    with pytest.raises(InputRefused, match="'mirror' is given twice"):
        net(text + "\ntransform_param { mirror: false } }")


def test_upgraded_equals_new() -> None:
    new = """layer { name: "c" type: "Convolution" bottom: "x" top: "c" param { lr_mult: 1 decay_mult: 1 }
        param { lr_mult: 2 decay_mult: 0 } convolution_param { num_output: 2 kernel_size: 3 }
        include { phase: TRAIN } loss_weight: 2 }"""
    old = """layers { convolution_param { num_output: 2 kernel_size: 3 } blobs_lr: 1 blobs_lr: 2 weight_decay: 1
        weight_decay: 0 name: "c" type: CONVOLUTION include: { phase: TRAIN } bottom: "x" top: "c" loss_weight: 2 }"""
    assert net(old) == net(new)
    assert isinstance(net(old).layers[0], Layer)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f'{RELU}\nlayer {{ name: "s" type: "ReLU" }}', "old.prototxt:1: legacy 'layers' and new 'layer'"),
        ('layers {\n name: "x"\n type: HDF5_OUTPUT }', r"layer 'x':3: unknown legacy layer type HDF5_OUTPUT"),
        ('layers { name: "x" type: Convolution }', "layer 'x':1: unknown legacy layer type Convolution"),
        ('layers { name: "x" }', "layer 'x':1: a layer needs a type"),
        ('\nlayers { layer { name: "x" type: "conv" } bottom: "a" top: "b" }', "old.prototxt:2: .* the form of 2013"),
        ("layers: 5", "old.prototxt:1: 'layers' is a message"),
        ('layers { name: "x" type: RELU blobs_lr: 1 blobs_lr: "a" }', "layer 'x':1: lr_mult: 'a' stands in quotes"),
        ('layers { name: "x" type: RELU conv_param { } }', "layer 'x':1: unknown field 'conv_param' in a ReLU layer"),
    ],
)
def test_refused(text: str, what: str) -> None:
    with pytest.raises(InputRefused, match=what):
        net(text)
