"""Shapes, weights and work of a whole network, for inputs of any size."""

import pytest

from trtdream.caffe.prototxt import net_from_text
from trtdream.errors import InputRefused, UsageError
from trtdream.net.graph import Graph, connect
from trtdream.net.shapes import infer_shapes, needed_steps

TEXT = """
name: "small"
layer { name: "data" type: "Input" top: "data" top: "label" input_param { shape: [{ dim: [1, 3, 8, 8] }, { dim: 1 }] } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 5 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""


@pytest.fixture
def graph() -> Graph:
    return connect(net_from_text(TEXT, "small.prototxt"))


def test_nominal_size(graph: Graph) -> None:
    shapes = {each.step.layer.name: each for each in infer_shapes(graph)}
    assert shapes["data"].tops == ((1, 3, 8, 8), (1,))
    assert shapes["pool"].tops == ((1, 4, 4, 4),)
    assert shapes["loss"].tops == ((),)
    assert shapes["conv"].parameters == 4 * 3 * 9 + 4
    assert shapes["conv"].macs == 4 * 8 * 8 * 27
    assert shapes["conv"].activations == 4 * 8 * 8
    assert shapes["fc"].parameters == 64 * 5 + 5
    assert shapes["relu"].parameters == shapes["relu"].macs == 0


def test_another_size(graph: Graph) -> None:
    shapes = infer_shapes(graph, {"data": (2, 3, 11, 13), "label": (2,)})
    assert shapes[3].tops == ((2, 4, 6, 7),)
    assert shapes[4].weights[0].shape == (5, 4 * 6 * 7)


def test_no_further_than_wanted(graph: Graph) -> None:
    assert [each.step.layer.name for each in infer_shapes(graph, until=["conv"])] == ["data", "conv", "relu"]
    assert [step.layer.name for step in needed_steps(graph, ["fc"], given={"pool"})] == ["fc"]
    assert needed_steps(graph, ["pool"], given={"pool"}) == []
    # A label that does not go with the batch matters only to the loss.
    infer_shapes(graph, {"data": (3, 3, 8, 8)}, until=["fc"])
    with pytest.raises(InputRefused, match=r"small: layer 'loss' .*want 3 labels, there are 1"):
        infer_shapes(graph, {"data": (3, 3, 8, 8)})


def test_labels_follow_the_pictures() -> None:
    data = 'layer { name: "data" type: "Data" top: "data" top: "label" data_param { batch_size: 64 } }'
    net = net_from_text(
        TEXT[: TEXT.index("layer")] + data + TEXT[TEXT.index('layer { name: "conv') :], "small.prototxt"
    )
    shapes = infer_shapes(connect(net), {"data": (2, 3, 8, 8)})
    assert shapes[0].tops == ((2, 3, 8, 8), (2,))
    with pytest.raises(InputRefused, match="want 2 labels, there are 3"):
        infer_shapes(connect(net), {"data": (2, 3, 8, 8), "label": (3,)})
    with pytest.raises(UsageError, match=r"only the data know .*give the shape of data, label"):
        infer_shapes(connect(net), {})


def test_unknown_input(graph: Graph) -> None:
    with pytest.raises(UsageError, match="small has no input conv, dta; it has data, label"):
        infer_shapes(graph, {"dta": (1,), "conv": (1,)})


@pytest.mark.parametrize("shape", [(1, 3, 0, 8), (0, 3, 8, 8), (1, 3, -8, 8)])
def test_a_size_of_nothing(graph: Graph, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputRefused, match="its top would have the shape"):
        infer_shapes(graph, {"data": shape, "label": (1,)})


def test_what_does_not_fit_names_layer_and_line(graph: Graph) -> None:
    with pytest.raises(InputRefused, match=r"small: layer 'conv' \(Convolution, line 4\): its bottom is N x C x H x W"):
        infer_shapes(graph, {"data": (1, 3, 8)})


@pytest.mark.parametrize(("layer", "weights"), [("relu", 0), ("fc", 2)])
def test_more_param_than_weights(layer: str, weights: int) -> None:
    text = TEXT.replace(f'name: "{layer}"', f'name: "{layer}"' + " param { lr_mult: 1 }" * (weights + 1))
    with pytest.raises(InputRefused, match=f"layer '{layer}' .*has {weights + 1} param for {weights} weights"):
        infer_shapes(connect(net_from_text(text, "small.prototxt")))


def test_shared_weights_count_with_every_layer() -> None:
    text = TEXT.replace('top: "fc"', 'top: "fc" param { name: "w" }')
    fc = 'layer { name: "fc2" type: "InnerProduct" bottom: "pool" top: "fc2" param { name: "w" }'
    shapes = infer_shapes(connect(net_from_text(f"{text} {fc} inner_product_param {{ num_output: 5 }} }}", "x")))
    assert shapes[-1].parameters == shapes[4].parameters == 325
