from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import refused, run
from trtdream.caffe.prototxt import read_prototxt
from trtdream.net import zoo
from trtdream.weights.weights import load_weights

FORMS = ("mini_v1_legacy.caffemodel", "mini_v1_upgraded_by_caffe.caffemodel", "mini.caffemodel.h5")


@pytest.mark.parametrize("source", FORMS)
@pytest.mark.parametrize("target", ["out.caffemodel", "out.caffemodel.h5", "out.safetensors"])
def test_weights_keep_their_answers(truth: Path, tmp_path: Path, source: str, target: str) -> None:
    """Whatever form they came in and go to, the probabilities are those Caffe gave."""
    net = truth / "formats/mini_deploy.prototxt"
    ran = run("convert", truth / "formats" / source, tmp_path / target, "--net", net)
    assert ran.code == 0, ran.err
    told = np.load(truth / "formats/mini_prob.npz")
    np.save(tmp_path / "data.npy", told["data"])
    out = tmp_path / "out.npz"
    run("features", tmp_path / "data.npy", "--net", net, "--weights", tmp_path / target, "--blob", "prob", "-o", out)
    np.testing.assert_allclose(np.load(out)["prob"], told["prob"], atol=1e-6)


def test_without_a_net(truth: Path, tmp_path: Path) -> None:
    source = truth / "nets/bvlc_googlenet_random_seed1234.caffemodel"
    assert run("convert", source, tmp_path / "a.safetensors").code == 0
    assert run("convert", tmp_path / "a.safetensors", tmp_path / "b.caffemodel").code == 0
    before, after = load_weights(source), load_weights(tmp_path / "b.caffemodel")
    assert {**before.layers}.keys() == {**after.layers}.keys()
    for layer, arrays in before.layers.items():
        for one, other in zip(arrays, after.layers[layer], strict=True):
            np.testing.assert_array_equal(one, other)


def test_zoo_to_prototxt(tmp_path: Path) -> None:
    for name in zoo.ZOO:
        for form in ((), ("--train-val",)):
            out = tmp_path / f"{name}{len(form)}.prototxt"
            assert run("convert", name, out, *form).code == 0
            assert read_prototxt(out) == zoo.build(name, deploy=not form)


def test_legacy_prototxt_is_upgraded(tmp_path: Path) -> None:
    old, new = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    old.write_text(
        'name: "old" input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8\n'
        'layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" blobs_lr: 1 blobs_lr: 2 weight_decay: 1\n'
        "  weight_decay: 0 convolution_param { num_output: 4 kernel_size: 3 } }\n"
        'layers { name: "r" type: RELU bottom: "c" top: "c" }'
    )
    assert run("convert", old, new).code == 0
    assert "layers" not in new.read_text()
    layer = read_prototxt(new).layers[1]
    assert [(spec.lr_mult, spec.decay_mult) for spec in layer.params] == [(1, 1), (2, 0)]


def test_refusals(truth: Path, tmp_path: Path) -> None:
    mini = truth / "formats/mini.caffemodel.h5"
    refused(run("convert", mini, tmp_path / "x.prototxt"), 2, "weights")
    refused(run("convert", "googlenet", tmp_path / "x.caffemodel"), 2, ".prototxt")
    refused(run("convert", mini, tmp_path / "x.pth"), 2, ".safetensors")
    refused(run("convert", mini, tmp_path / "x.caffemodel", "--net", "googlenet"), 3, "another network")
    googlenet = truth / "nets/bvlc_googlenet_random_seed1234.caffemodel"
    refused(run("convert", googlenet, tmp_path / "x.h5"), 2, "conv1/7x7_s2", ".caffemodel")
    refused(run("convert", tmp_path / "no.caffemodel", tmp_path / "x.caffemodel"), 2, "no such file")
    assert not list(tmp_path.iterdir())
