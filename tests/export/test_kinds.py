"""Every layer kind in ONNX Runtime against its torch form, and TensorRT-RTX's parser on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.export.models import ANY_BATCH, input_layer, model_of, random_model, run_onnx, run_torch
from tests.net.layer_truth import load_cases, worst
from trtdream.errors import InputRefused
from trtdream.export.onnx_net import GraphOptions, onnx_from_model
from trtdream.export.sizes import Batch
from trtdream.net.kind import KINDS
from trtdream.net.kinds.pooling import Pooling

X = (2, 6, 7, 9)
ONE_BOTTOM = {
    "ReLU": "",
    "ReLU_slope": "relu_param { negative_slope: 0.1 }",
    "PReLU": "",
    "PReLU_shared": "prelu_param { channel_shared: true }",
    "ELU": "elu_param { alpha: 0.7 }",
    "Sigmoid": "",
    "TanH": "",
    "BNLL": "",
    "Swish": "swish_param { beta: 1.5 }",
    "Clip": "clip_param { min: -0.5 max: 0.25 }",
    "Threshold": "threshold_param { threshold: 0.3 }",
    "AbsVal": "",
    "Power": "power_param { power: 3 scale: 0.5 shift: 0.25 }",
    "Power_linear": "power_param { scale: 2 }",
    "Exp": "exp_param { base: 2 scale: 0.5 shift: 0.1 }",
    "Exp_natural": "",
    "Log": "log_param { base: 10 scale: 0.01 shift: 3 }",
    "Scale": "scale_param { bias_term: true }",
    "Scale_all": "scale_param { num_axes: -1 }",
    "Bias": "bias_param { axis: 1 num_axes: 2 }",
    "Slice": "slice_param { slice_point: 2 }",
    "Split": "",
    "Convolution": "convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 group: 2 }",
    "Convolution_dilated": "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 dilation: 2 bias_term: false }",
    "Deconvolution": "convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 group: 2 }",
    "InnerProduct": "inner_product_param { num_output: 5 }",
    "InnerProduct_transposed": "inner_product_param { num_output: 5 transpose: true bias_term: false }",
    "InnerProduct_axis2": "inner_product_param { num_output: 5 axis: 2 }",
    "InnerProduct_axis3": "inner_product_param { num_output: 5 axis: -1 transpose: true bias_term: false }",
    "LRN": "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 k: 2 }",
    "LRN_beta": "lrn_param { local_size: 5 alpha: 0.1 beta: 0.6 }",
    "LRN_within": "lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }",
    "BatchNorm": "",
    "MVN": "",
    "MVN_across": "mvn_param { across_channels: true normalize_variance: false }",
    "Pooling": "pooling_param { kernel_size: 3 stride: 2 }",
    "Pooling_global": "pooling_param { pool: AVE global_pooling: true }",
    "Pooling_mask": "pooling_param { kernel_size: 2 stride: 2 }",
    "Softmax": "",
    "Softmax_last": "softmax_param { axis: -1 }",
    "Dropout": "",
    "Reduction": "reduction_param { axis: 1 coeff: 0.5 }",
    "Reduction_asum": "reduction_param { operation: ASUM axis: 2 }",
    "Reduction_sumsq": "reduction_param { operation: SUMSQ axis: -1 }",
    "Reduction_mean": "reduction_param { operation: MEAN axis: 1 }",
    "ArgMax": "argmax_param { top_k: 3 }",
    "ArgMax_values": "argmax_param { top_k: 2 out_max_val: true }",
    "ArgMax_axis": "argmax_param { axis: 1 }",
    "Flatten": "",
    "Flatten_middle": "flatten_param { axis: 2 }",
    "Reshape": "reshape_param { shape { dim: 0 dim: 3 dim: -1 } }",
    "Tile": "tile_param { axis: 2 tiles: 3 }",
    "Concat": "",
}
TWO_TOPS = {"Slice", "Split", "Pooling_mask"}
TWO_BOTTOMS = {
    "Eltwise": ("eltwise_param { coeff: 1 coeff: -0.5 }", X),
    "Eltwise_product": ("eltwise_param { operation: PROD }", X),
    "Eltwise_maximum": ("eltwise_param { operation: MAX }", X),
    "Concat_axis2": ("concat_param { axis: 2 }", X),
    "Scale_by": ("scale_param { axis: 0 }", X[:2]),
    "Bias_by": ("bias_param { axis: 0 }", X[:2]),
    "Crop": ("crop_param { axis: 2 offset: 1 offset: 2 }", (2, 6, 4, 5)),
}
NO_FORM = {"Accuracy", "Silence", "Parameter"} | {name for name, kind in KINDS.items() if kind.is_loss or kind.is_input}


def one_layer(name: str) -> str:
    kind = name.split("_")[0]
    if name in TWO_BOTTOMS:
        parameters, second = TWO_BOTTOMS[name]
        inputs = input_layer("a", X) + input_layer("b", second)
        return inputs + f'layer {{ name: "it" type: "{kind}" bottom: "a" bottom: "b" top: "y" {parameters} }}'
    tops = 'top: "y" top: "z"' if name in TWO_TOPS else 'top: "y"'
    return input_layer("a", X) + f'layer {{ name: "it" type: "{kind}" bottom: "a" {tops} {ONE_BOTTOM[name]} }}'


def test_every_kind_is_here() -> None:
    tested = {name.split("_")[0] for name in (*ONE_BOTTOM, *TWO_BOTTOMS)}
    assert tested | NO_FORM == set(KINDS)


@pytest.mark.parametrize(
    ("name", "banded"),
    [(name, False) for name in (*ONE_BOTTOM, *TWO_BOTTOMS)] + [(name, True) for name in ONE_BOTTOM if "LRN" in name],
)
def test_kind(name: str, banded: bool) -> None:
    model = random_model(one_layer(name))
    made = onnx_from_model(model, GraphOptions(Batch(1, 2, 64), lrn_as_convolution=banded))
    random = np.random.default_rng(1)
    for batch in (1, 3, 17):
        inputs = {
            value.name: random.standard_normal((batch, *[d.dim_value for d in value.type.tensor_type.shape.dim[1:]]))
            .astype(np.float32)
            .round(1)  # so that there are ties for ArgMax and MAX
            for value in made.graph.input
        }
        found = run_onnx(made, inputs)
        wanted = run_torch(model, inputs, list(found))
        for blob, value in wanted.items():
            assert found[blob].shape == value.shape
            assert worst(found[blob], value) < 1e-5, (blob, batch)


@pytest.mark.parametrize("name", [name for name in (*ONE_BOTTOM, *TWO_BOTTOMS) if name != "Pooling_mask"])
@pytest.mark.parametrize("float_type", ["float32", "float16", "bfloat16"])
def test_tensorrt_rtx_parses_kind(name: str, float_type: str) -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed")
    opset = 22 if float_type == "bfloat16" else 17
    options = GraphOptions(Batch(1, 2, 64), float_type, opset, lrn_as_convolution=True)
    made = onnx_from_model(random_model(one_layer(name)), options)
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    assert parser.parse(made.SerializeToString()), [parser.get_error(i).desc() for i in range(parser.num_errors)]
    shapes = {info.name: info for info in made.graph.output}
    for index in range(network.num_outputs):
        output = network.get_output(index)
        dims = [d.dim_value or -1 for d in shapes[output.name].type.tensor_type.shape.dim]
        assert list(output.shape) == dims


@pytest.mark.parametrize("file", ["pooling", "conv", "lrn", "other"])
def test_layers_against_caffe(truth: Path, file: str) -> None:
    """The single layers that real Caffe ran, ceil-mode pooling of odd sizes among them."""
    checked = 0
    for case in load_cases(truth / f"layers/{file}.npz"):
        inputs = case.starting("in_")
        outputs = case.starting("out_")
        module = case.module()
        kind = module.graph.steps[-1].layer.kind
        if kind.is_loss or kind.type_name == "Accuracy" or case.name == "dropout_train":
            continue
        weights = {
            module.graph.steps[-1].layer.name: [case.items[f"param{i}"] for i in range(2) if f"param{i}" in case.items]
        }
        model = model_of(module.graph.net, weights)
        try:
            made = onnx_from_model(model, GraphOptions(Batch(1, len(next(iter(inputs.values()))), 64)))
        except InputRefused as error:
            assert "mask" in str(error), case.name
            continue
        found = run_onnx(made, {name: value.astype(np.float32) for name, value in inputs.items()})
        for blob, value in outputs.items():
            if file == "pooling":
                exact = isinstance(kind, Pooling) and kind.pool == "MAX"
                np.testing.assert_allclose(
                    found[blob], value, 0 if exact else 1e-6, 0 if exact else 1e-6, err_msg=case.name
                )
            else:
                assert worst(found[blob].reshape(value.shape), value) < 2e-6, (case.name, blob)
            checked += 1
    assert checked >= {"pooling": 300, "conv": 5, "lrn": 10, "other": 5}[file]


def test_shape_inference_agrees_where_onnx_counts_otherwise() -> None:
    """Kernel 2, stride 2, padding 1 on 7: Caffe 4; ONNX's own rule with ceil_mode would infer 5."""
    text = input_layer("a", (1, 2, 7, 7)) + (
        'layer { name: "p" type: "Pooling" bottom: "a" top: "y" pooling_param { kernel_size: 2 stride: 2 pad: 1 } }'
    )
    made = onnx_from_model(random_model(text), ANY_BATCH)
    (output,) = made.graph.output
    assert [d.dim_value for d in output.type.tensor_type.shape.dim] == [0, 2, 4, 4]
    onnx.checker.check_model(made, full_check=True)


def test_kind_without_onnx_form_is_refused() -> None:
    text = input_layer("a", (4, 3)) + (
        'layer { name: "bn" type: "BatchNorm" bottom: "a" top: "y" batch_norm_param { use_global_stats: false } }'
    )
    with pytest.raises(InputRefused, match=r"'bn'.*use_global_stats"):
        onnx_from_model(random_model(text), ANY_BATCH)
