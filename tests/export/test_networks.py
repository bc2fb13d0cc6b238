"""Whole networks as ONNX: against real Caffe, against torch, and as the graph they are promised to be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.export.models import ANY_BATCH, input_layer, model_of, random_model, run_onnx, run_torch
from tests.net.layer_truth import worst
from trtdream.caffe.prototxt import net_from_text, read_prototxt
from trtdream.errors import InputRefused, UsageError
from trtdream.export.front import IMAGES
from trtdream.export.metadata import describe, save_onnx
from trtdream.export.onnx_net import GraphOptions, onnx_from_model
from trtdream.export.precision import Precision
from trtdream.export.sizes import Batch
from trtdream.runtime.image import load_image
from trtdream.runtime.model import Model
from trtdream.runtime.onnx_file import read_onnx
from trtdream.runtime.open_model import bundled, open_model
from trtdream.runtime.preprocess import Preprocess, preprocess
from trtdream.weights.weights import load_weights

CONV = "convolution_param { num_output: 5 kernel_size: 3 pad: 1 }"
TOWER = (
    input_layer("data", (1, 3, 29, 31))
    + f'layer {{ name: "c1" type: "Convolution" bottom: "data" top: "c1" {CONV} }}'
    + 'layer { name: "r1" type: "ReLU" bottom: "c1" top: "c1" }'
    + 'layer { name: "n1" type: "LRN" bottom: "c1" top: "n1" lrn_param { local_size: 3 alpha: 0.2 } }'
    + 'layer { name: "p1" type: "Pooling" bottom: "n1" top: "p1" pooling_param { kernel_size: 3 stride: 2 pad: 1 } }'
    + f'layer {{ name: "c2" type: "Convolution" bottom: "p1" top: "c2" {CONV} }}'
    + 'layer { name: "b2" type: "BatchNorm" bottom: "c2" top: "c2" }'
    + 'layer { name: "s2" type: "Scale" bottom: "c2" top: "c2" scale_param { bias_term: true } }'
    + 'layer { name: "e" type: "Eltwise" bottom: "c2" bottom: "p1" top: "e" }'
    + 'layer { name: "p2" type: "Pooling" bottom: "e" top: "p2" pooling_param { pool: AVE kernel_size: 5 stride: 3 } }'
    + 'layer { name: "cat" type: "Concat" bottom: "p2" bottom: "p2" top: "cat" }'
    + 'layer { name: "ip" type: "InnerProduct" bottom: "cat" top: "ip" inner_product_param { num_output: 7 } }'
)
PROB = 'layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }'
HEADS = {
    "softmax": PROB,
    "two outputs": PROB + 'layer { name: "power" type: "Power" bottom: "cat" top: "power" power_param { power: 2 } }',
    "embedding": 'layer { name: "tanh" type: "TanH" bottom: "ip" top: "ip" }',
    "sliced": 'layer { name: "s" type: "Slice" bottom: "ip" top: "a" top: "b" slice_param { slice_point: 3 } }',
}


def caffes(truth: Path, name: str) -> tuple[Model, np.ndarray, dict[str, np.ndarray]]:
    """Model, input and all blobs of a network that real Caffe ran."""
    prototxt, weights, data, blobs = {
        "googlenet": ("googlenet_deploy_b1", "bvlc_googlenet_random_seed1234", "googlenet_input", "googlenet_acts"),
        "caffenet": (
            "caffenet_fc256_deploy_b1",
            "caffenet_fc256_random_seed4321",
            "caffenet_input",
            "caffenet_fc256_acts",
        ),
    }[name]
    model = model_of(
        read_prototxt(truth / f"nets/{prototxt}.prototxt"), load_weights(truth / f"nets/{weights}.caffemodel").layers
    )
    wanted = {key.replace("|", "/"): value for key, value in np.load(truth / f"nets/{blobs}.npz").items()}
    return model, np.load(truth / f"nets/{data}.npy"), wanted


@pytest.mark.parametrize("name", ["googlenet", "caffenet"])
@pytest.mark.parametrize("banded", [False, True])
def test_every_blob_is_caffes(truth: Path, name: str, banded: bool) -> None:
    model, data, wanted = caffes(truth, name)
    until = tuple(blob for blob in wanted if blob != "data")
    made = onnx_from_model(model, replace(ANY_BATCH, until=until, lrn_as_convolution=banded))
    found = run_onnx(made, {"data": data})
    assert set(found) == set(until) and len(until) > 10
    for blob in until:
        assert worst(found[blob].reshape(wanted[blob].shape), wanted[blob]) < 1e-5, blob


def test_the_real_network(shared: Path, truth: Path) -> None:
    """A cat, stored exactly, within 1e-5 of Caffe's probabilities; ten photographs, whose inputs are stored as float16
    (which alone moves a probability by 1.9e-4, in float64 as well), with it."""
    model = open_model("googlenet", shared / "models/bvlc_googlenet.caffemodel")
    made = onnx_from_model(model, GraphOptions(Batch(1, 8, 64), lrn_as_convolution=True))
    cat = np.load(truth / "real/googlenet_cat.npz")
    assert np.abs(run_onnx(made, {"data": cat["input"][None]})["prob"].ravel() - cat["prob"].ravel()).max() < 1e-5
    ten = np.load(truth / "real/googlenet_probs.npz")
    found = run_onnx(made, {"data": ten["inputs"].astype(np.float32)})["prob"]
    assert np.abs(found - ten["probs"]).max() < 2.5e-4
    assert (found.argmax(1) == ten["probs"].argmax(1)).all()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("seed", [0, 1])
def test_networks_that_nobody_named(head: str, seed: int) -> None:
    model = random_model(TOWER + HEADS[head], seed=seed)
    made = onnx_from_model(model, ANY_BATCH)
    for batch in (1, 3, 17):
        data = np.random.default_rng(seed).standard_normal((batch, 3, 29, 31), np.float32)
        found = run_onnx(made, {"data": data})
        wanted = run_torch(model, {"data": data}, model.graph.outputs)
        assert found.keys() == wanted.keys()
        for blob, value in wanted.items():
            assert worst(found[blob], value) < 1e-5, blob


def test_names_are_the_layers_and_the_blobs() -> None:
    made = onnx_from_model(bundled(), ANY_BATCH)
    names = [node.name for node in made.graph.node]
    assert len(set(names)) == len(names)
    layers = {layer.name for layer in bundled().net.layers if layer.name != "data"}
    assert layers <= set(names)
    assert all(name in layers or name.rpartition("/")[0] in layers for name in names)
    tensors = {node.name: node.output[0] for node in made.graph.node}
    assert tensors["conv1/7x7_s2"] == "conv1/7x7_s2@conv1/7x7_s2"  # the last writer owns the blob's name
    assert tensors["conv1/relu_7x7"] == "conv1/7x7_s2"
    assert tensors["inception_4c/output"] == "inception_4c/output"
    assert [d.dim_param or d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim] == ["N", 3, 224, 224]
    assert {opset.version for opset in made.opset_import} == {17}


def test_static_batch() -> None:
    made = onnx_from_model(random_model(TOWER + PROB), GraphOptions(Batch(4, 4, 4)))
    assert [d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim] == [4, 3, 29, 31]
    assert [d.dim_value for d in made.graph.output[0].type.tensor_type.shape.dim] == [4, 7]


def test_until_a_blob_or_a_layer() -> None:
    model = random_model(TOWER + PROB)
    made = onnx_from_model(model, replace(ANY_BATCH, until=("c2", "b2")))
    assert [output.name for output in made.graph.output] == ["c2", "c2@b2"]
    assert "e" not in {node.name for node in made.graph.node}
    with pytest.raises(UsageError, match="did you mean"):
        onnx_from_model(model, replace(ANY_BATCH, until=("catt",)))


@pytest.mark.parametrize("phase", ["", "include { phase: TRAIN }"])
def test_train_val_network_ends_in_probabilities(phase: str) -> None:
    """Losses and accuracies go; a softmax stands behind the scores, where the loss is for training alone too."""
    text = (
        TOWER.replace('type: "Input" top: "data"', 'type: "Input" top: "data" top: "label"').replace(
            "shape { dim: 1 dim: 3 dim: 29 dim: 31 }", "shape { dim: 1 dim: 3 dim: 29 dim: 31 } shape { dim: 1 }"
        )
        + f'layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" {phase} }}'
        + 'layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" }'
    )
    model = random_model(text)
    made = onnx_from_model(model, ANY_BATCH)
    data = np.random.default_rng(0).standard_normal((3, 3, 29, 31), np.float32)
    found = run_onnx(made, {"data": data})["prob"]
    scores = run_torch(model, {"data": data, "label": np.zeros(3, np.float32)}, ["ip"])["ip"].astype(np.float64)
    powers = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(found, powers / powers.sum(1, keepdims=True), atol=1e-5)


CONVOLUTIONAL = TOWER.partition('layer { name: "p2"')[0].replace("stride: 2 pad: 1", "stride: 2")
GLOBAL = 'layer { name: "g" type: "Pooling" bottom: "n1" top: "g" pooling_param { pool: AVE global_pooling: true } }'


def test_dynamic_size() -> None:
    model = random_model(CONVOLUTIONAL + GLOBAL)
    made = onnx_from_model(model, replace(ANY_BATCH, dynamic_size=True))
    assert [d.dim_param or d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim] == ["N", 3, "H", "W"]
    for height, width in ((29, 31), (17, 40), (8, 8)):
        data = np.random.default_rng(0).standard_normal((2, 3, height, width), np.float32)
        wanted = run_torch(model, {"data": data}, ["e", "g"])
        found = run_onnx(made, {"data": data})
        for blob in wanted:
            assert worst(found[blob], wanted[blob]) < 1e-5


def test_dynamic_size_is_refused_where_it_cannot_be() -> None:
    with pytest.raises(InputRefused, match="unless the map's size is fixed"):
        onnx_from_model(random_model(TOWER + PROB), replace(ANY_BATCH, dynamic_size=True))


def test_batch_that_cannot_be_dynamic_is_refused() -> None:
    text = input_layer("a", (2, 6)) + (
        'layer { name: "r" type: "Reshape" bottom: "a" top: "y" reshape_param { shape { dim: 2 dim: 3 dim: 2 } } }'
    )
    with pytest.raises(InputRefused, match="--batch N"):
        onnx_from_model(random_model(text), ANY_BATCH)
    assert onnx_from_model(random_model(text), GraphOptions(Batch(2, 2, 2)))


@pytest.mark.parametrize("channels", ["BGR", "RGB", "GREY"])
@pytest.mark.parametrize("mean", ["values", "image"])
def test_preprocessing_in_the_graph(channels: str, mean: str) -> None:
    """Bytes in, the same as pictures prepared outside."""
    count, random = (1 if channels == "GREY" else 3), np.random.default_rng(0)
    means = random.uniform(90, 130, (count,) if mean == "values" else (count, 32, 32)).astype(np.float32)
    spec = Preprocess((24, 24), (32, 32), means, 0.5, channels)
    net = net_from_text(
        input_layer("data", (1, count, 24, 24)) + 'layer { name: "y" type: "AbsVal" bottom: "data" top: "y" }', "t"
    )
    model = replace(model_of(net, {}), preprocess=spec)
    pictures = random.integers(0, 256, (3, 32, 32, 3), np.uint8)
    made = onnx_from_model(model, replace(ANY_BATCH, front=True))
    assert [value.name for value in made.graph.input] == [IMAGES]
    found = run_onnx(made, {IMAGES: pictures[:, 4:28, 4:28]})["y"]
    wanted = np.abs(np.stack([preprocess(picture, spec) for picture in pictures]))
    differing = np.abs(found - wanted) > 1e-5
    assert differing.mean() < (0.005 if channels == "GREY" else 1e-9)  # a luminance of x.5 may round either way
    assert np.abs(found - wanted).max() < 0.5 + 1e-4


def extremes(shape: tuple[int, ...]) -> np.ndarray:
    """The inputs that drive a network furthest: black, white, checkerboards and noise at full range, less the mean."""
    checker = np.indices(shape[1:]).sum(0) % 2
    blocks = (np.indices(shape[1:]) // 16).sum(0) % 2
    noise = np.random.default_rng(0).integers(0, 2, shape)
    pictures = np.stack([np.zeros(shape), np.ones(shape), np.ones(shape) * checker, np.ones(shape) * blocks, noise])
    return (pictures * 255 - 117).astype(np.float32)


def test_fp16_has_no_infinity_in_any_blob(shared: Path) -> None:
    model = open_model("googlenet", shared / "models/bvlc_googlenet.caffemodel")
    until = tuple(value for value in model.graph.values if value != "data")
    options = GraphOptions.for_precision(Precision.FP16, Batch(1, 8, 64), until)
    found = run_onnx(onnx_from_model(model, options), {"data": extremes((3, 224, 224))})
    assert len(found) > 100
    for blob, value in found.items():
        assert np.isfinite(value).all(), blob


def test_fp16_keeps_its_types() -> None:
    """Weights, blobs and convolutions are float16; input, softmax and output float32."""
    made = onnx_from_model(bundled(), GraphOptions.for_precision(Precision.FP16, Batch(1, 8, 64)))
    assert {tensor.data_type for tensor in made.graph.initializer if tensor.dims} <= {
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.INT64,
    }
    types = {info.name: info.type.tensor_type.elem_type for info in made.graph.value_info}
    convolutions = [node.output[0] for node in made.graph.node if node.op_type == "Conv"]
    assert {types[name] for name in convolutions} == {onnx.TensorProto.FLOAT16}
    assert {value.type.tensor_type.elem_type for value in (*made.graph.input, *made.graph.output)} == {1}


def test_weights_must_fit() -> None:
    model = random_model(TOWER + PROB)
    short = {name: arrays for name, arrays in model.weights.layers.items() if name != "c2"}
    with pytest.raises(InputRefused, match="no weights for layer 'c2'"):
        onnx_from_model(model_of(model.net, short), ANY_BATCH)
    wrong = {**model.weights.layers, "ip": (np.zeros((7, 3), np.float32), np.zeros(7, np.float32))}
    with pytest.raises(InputRefused, match="do not fit layer 'ip'"):
        onnx_from_model(model_of(model.net, wrong), ANY_BATCH)
    damaged = {**model.weights.layers, "ip": tuple(a * np.nan for a in model.weights.layers["ip"])}
    with pytest.raises(InputRefused, match="not finite"):
        onnx_from_model(model_of(model.net, damaged), ANY_BATCH)


def test_metadata_and_external_data(tmp_path: Path) -> None:
    model = bundled()
    made = onnx_from_model(model, ANY_BATCH)
    assert model.preprocess is not None
    describe(made, model, Precision.FP32, model.preprocess.to_dict())
    path = tmp_path / "net.onnx"
    save_onnx(made, path, limit=100_000)
    assert {file.name for file in tmp_path.iterdir()} == {"net.onnx", "net.onnx.data"}
    properties = {entry.key: entry.value for entry in read_onnx(path).metadata_props}
    assert properties["trtdream.weights_sha256"] == model.weights.sha256
    assert "tench" in properties["trtdream.labels"]
    picture = preprocess(load_image(next(Path("trtdream/export/photographs").glob("c*.jpg"))), model.preprocess)[None]
    whole = onnx.load(path)
    np.testing.assert_array_equal(
        run_onnx(whole, {"data": picture})["prob"],
        run_onnx(onnx_from_model(model, ANY_BATCH), {"data": picture})["prob"],
    )
