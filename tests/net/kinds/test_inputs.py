"""Where blobs come from: their shapes, as far as a prototxt tells them, and Parameter."""

import numpy as np
import pytest

from tests.net.kinds.single import numbers
from trtdream.caffe.prototxt import net_from_text
from trtdream.errors import InputRefused, UsageError
from trtdream.net.graph import connect
from trtdream.net.shapes import infer_shapes
from trtdream.net.torch_module import TorchNet


def shapes(layer: str, inputs=None):
    return infer_shapes(connect(net_from_text(f'layer {{ name: "data" {layer} }}', "x.prototxt")), inputs)[0].tops


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        ('type: "Input" top: "a" input_param { shape { dim: 2 dim: 3 } }', [(2, 3)]),
        ('type: "Input" top: "a" top: "b" input_param { shape { dim: 2 } }', [(2,), (2,)]),
        ('type: "Input" top: "a" top: "b" input_param { shape { dim: 2 } shape { dim: [3, 4] } }', [(2,), (3, 4)]),
        ('type: "DummyData" top: "a" dummy_data_param { shape { dim: 5 } }', [(5,)]),
        (
            'type: "DummyData" top: "a" top: "b" dummy_data_param { num: 2 channels: [3, 1] height: 4 width: [5, 1] }',
            [(2, 3, 4, 5), (2, 1, 4, 1)],
        ),
        (
            'type: "Data" top: "a" top: "b" data_param { batch_size: 7 } transform_param { crop_size: 9 }',
            [(7, 3, 9, 9), (7,)],
        ),
        (
            'type: "Data" top: "a" data_param { batch_size: 7 } transform_param { crop_size: 9 force_gray: true }',
            [(7, 1, 9, 9)],
        ),
        (
            'type: "ImageData" top: "a" top: "b" image_data_param { new_height: 4 new_width: 5 is_color: false }',
            [(1, 1, 4, 5), (1,)],  # a batch of 1 where none is given
        ),
        (
            """type: "ImageData" top: "a" top: "b" image_data_param { batch_size: 3 new_height: 4 new_width: 5 }
            transform_param { crop_size: 2 }""",
            [(3, 3, 2, 2), (3,)],
        ),
        (
            'type: "WindowData" top: "a" top: "b" window_data_param { batch_size: 8 } transform_param { crop_size: 6 }',
            [(8, 3, 6, 6), (8,)],
        ),
        (
            'type: "MemoryData" top: "a" top: "b" memory_data_param { batch_size: 2 channels: 1 height: 5 width: 6 }',
            [(2, 1, 5, 6), (2,)],
        ),
    ],
)
def test_shapes(layer: str, wanted: list[tuple[int, ...]]) -> None:
    assert list(shapes(layer)) == wanted


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        ('type: "Input" top: "a" top: "b" top: "c" input_param { shape { } shape { } }', "2 shapes for 3 tops"),
        ('type: "Input" top: "a" input_param { shape { dim: 0 } }', "its top would have the shape"),
        ('type: "Input" top: "a" input_param { shape { dim: -1 dim: 3 } }', "its top would have the shape"),
        ('type: "DummyData" top: "a"', "0 sizes"),
        ('type: "DummyData" top: "a" dummy_data_param { num: 1 channels: 1 height: 1 }', "0 sizes"),
        ('type: "DummyData" top: "a" dummy_data_param { shape { dim: 2 } num: 2 }', "give shape, or"),
        ('type: "Data" top: "a" data_param { source: "db" }', "batch_size must be"),
        ('type: "Data" top: "a" top: "b" top: "c" data_param { batch_size: 1 }', "wants 1 to 2"),
        ('type: "MemoryData" top: "a" memory_data_param { batch_size: 2 }', "has 1 tops, wants 2"),
    ],
)
def test_refused(layer: str, what: str) -> None:
    with pytest.raises(InputRefused, match=what):
        shapes(layer)


@pytest.mark.parametrize(
    "layer",
    [
        'type: "Input" top: "a"',
        'type: "Data" top: "a" data_param { batch_size: 7 }',
        'type: "ImageData" top: "a" image_data_param { new_height: 4 }',
        'type: "HDF5Data" top: "a" hdf5_data_param { source: "list.txt" batch_size: 4 }',
    ],
)
def test_unknown_until_given(layer: str) -> None:
    with pytest.raises(UsageError, match="give the shape of a, as in --input"):
        shapes(layer)
    assert shapes(layer, {"a": (1, 2)}) == ((1, 2),)
    with pytest.raises(InputRefused, match="shape"):
        shapes(layer, {"a": (1, 0)})


def test_parameter_is_a_learned_blob() -> None:
    net = net_from_text(
        """layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 2 dim: 3 } } }
        layer { name: "y" type: "Power" bottom: "p" top: "y" power_param { scale: 2 } }""",
        "x.prototxt",
    )
    module = TorchNet(net)
    assert not module({})["y"].any()  # it starts at 0
    value = numbers(2, 3).astype(np.float32)
    module.load({"p": [value]}, "x")
    top = module({})["y"]
    np.testing.assert_array_equal(top.detach().numpy(), 2 * value)
    top.sum().backward()
    assert module.weight(("p", 0)).grad.tolist() == [[2.0] * 3] * 2
