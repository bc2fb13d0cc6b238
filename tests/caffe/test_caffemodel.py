"""Weights in .caffemodel files: real Caffe's three forms, our own, and files that are none."""

import random
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from trtdream.caffe.caffemodel import (
    LayerWeights,
    caffemodel_from_weights,
    hdf5_from_weights,
    weights_from_caffemodel,
)
from trtdream.caffe.messages import message_class
from trtdream.caffe.prototxt import net_from_text, read_prototxt
from trtdream.errors import InputRefused, UsageError
from trtdream.net.kind import Phase
from trtdream.net.torch_module import TorchNet

FORMS = ["mini_v1_legacy.caffemodel", "mini_v1_upgraded_by_caffe.caffemodel", "mini.caffemodel.h5"]
SMALL = {
    "conv1/3x3": (np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1), np.float32([0.5])),
    "slope": (np.array(0.25, np.float32),),
    "卷积": (np.zeros((2, 2), np.float32),),
}
NET = 'layer { name: "a" type: "Input" top: "a" } layer { name: "slope" type: "PReLU" bottom: "a" top: "b" }'


def same(one: LayerWeights, other: LayerWeights) -> None:
    assert list(one) == list(other)
    for name, arrays in one.items():
        assert [array.shape for array in arrays] == [array.shape for array in other[name]], name
        for array, wanted in zip(arrays, other[name], strict=True):
            np.testing.assert_array_equal(array, wanted)


@pytest.mark.parametrize("form", FORMS)
def test_real_caffes_forms(truth: Path, form: str) -> None:
    """V1 with four-dimensional shapes, V2, HDF5: the probabilities that Caffe had from them."""
    folder = truth / "formats"
    module = TorchNet(read_prototxt(folder / "mini_deploy.prototxt"))
    loaded = module.load(weights_from_caffemodel((folder / form).read_bytes(), form), form)
    assert len(loaded.taken) == 8
    assert not loaded.missing + loaded.unfit
    told = np.load(folder / "mini_prob.npz")
    with torch.inference_mode():
        found = module(torch.from_numpy(told["data"]))["prob"].numpy()
    np.testing.assert_allclose(found, told["prob"], atol=1e-6)


def test_the_forms_hold_the_same_bits(truth: Path) -> None:
    forms = [weights_from_caffemodel((truth / f"formats/{form}").read_bytes(), form) for form in FORMS]
    for name, arrays in forms[1].items():
        for form in (forms[0], forms[2]):
            for array, other in zip(arrays, form[name], strict=True):
                assert array.tobytes() == other.tobytes()
    assert forms[0]["fc6"][0].shape[:2] == (1, 1)
    assert forms[2]["fc6"][0].ndim == 2


def test_round_trip_of_real_weights(truth: Path) -> None:
    path = truth / "train/it1_iter_40.caffemodel"
    weights = weights_from_caffemodel(path.read_bytes(), str(path))
    net = read_prototxt(truth / "train/net.prototxt").for_phase(Phase.TRAIN)
    for content in (
        caffemodel_from_weights(weights),
        caffemodel_from_weights(weights, net),
        hdf5_from_weights(dict(sorted(weights.items()))),
    ):
        found = weights_from_caffemodel(content, "x")
        same({name: found[name] for name in weights}, weights)


def test_round_trip_of_any_name_and_shape() -> None:
    content = caffemodel_from_weights(SMALL, name="n")
    same(weights_from_caffemodel(content, "x"), SMALL)
    assert caffemodel_from_weights(weights_from_caffemodel(content, "x"), name="n") == content
    plain = {name.replace("/", "_"): arrays for name, arrays in sorted(SMALL.items())}
    same(weights_from_caffemodel(hdf5_from_weights(plain), "x"), plain)


def test_with_a_net_its_layers_stand_in_the_file() -> None:
    message = message_class("Net").FromString(caffemodel_from_weights(SMALL, net_from_text(NET, "small")))
    assert message.name == "small"
    layers = [(each.name, each.type, list(each.bottom), list(each.top), len(each.blobs)) for each in message.layer]
    assert layers == [("a", "Input", [], ["a"], 0), ("slope", "PReLU", ["a"], ["b"], 1)]


def test_hdf5_is_laid_out_like_caffes() -> None:
    weights = {"fc": SMALL["conv1/3x3"]}
    with h5py.File(BytesIO(hdf5_from_weights(weights)), "r") as file:
        assert list(file) == ["data"]
        assert list(file["data/fc"]) == ["0", "1"]
        assert file["data/fc/0"].dtype == np.float32
    with pytest.raises(UsageError, match=r"Caffe cannot read a layer called 'conv1/3x3' from HDF5"):
        hdf5_from_weights(SMALL)


def test_more_than_ten_weights_keep_their_order() -> None:
    many = {"a": tuple(np.float32([i]) for i in range(12))}
    same(weights_from_caffemodel(hdf5_from_weights(many), "x"), many)


def test_v1_and_v2_layers() -> None:
    """V1's layers have their own field numbers; layers without weights are left out; diffs are skipped."""
    net = message_class("Net")()
    for layers, name in ((net.layers, "old"), (net.layer, "new")):
        blob = layers.add(name=name).blobs.add(num=1, channels=1, height=1, width=2)
        blob.data = np.float32([1, 2]).tobytes()
    net.layer.add(name="relu", type="ReLU")
    found = weights_from_caffemodel(net.SerializeToString(), "x")
    assert {name: arrays[0].shape for name, arrays in found.items()} == {"old": (1, 1, 1, 2), "new": (1, 1, 1, 2)}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "x: holds no weights: it is no caffemodel"),
        (b"\x0a\x01n", "x: holds no weights"),
        (caffemodel_from_weights({}, net_from_text(NET, "x")), "x: holds no weights"),
        (NET.encode(), "x: is no Caffe Net message, or is cut short"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "x: is no Caffe Net message"),
        (b"\x89HDF\r\n\x1a\n", "x: is no readable HDF5 file of weights, or is cut short"),
        (b"\x89HDF\r\n\x1a\n" + bytes(500), "x: is no readable HDF5 file"),
    ],
)
def test_refused(content: bytes, what: str) -> None:
    with pytest.raises(InputRefused, match=f"^{what}"):
        weights_from_caffemodel(content, "x")


def test_every_cut() -> None:
    """A file cut anywhere is refused, or, cut between two layers, holds the layers before the cut whole."""
    content = caffemodel_from_weights(SMALL)
    for end in range(len(content)):
        try:
            found = weights_from_caffemodel(content[:end], "x")
        except InputRefused:
            continue
        assert 0 < len(found) < len(SMALL)
        same(found, dict(list(SMALL.items())[: len(found)]))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99, 0.999])
def test_cuts_of_real_files(truth: Path, share: float) -> None:
    for form in FORMS:
        content = (truth / f"formats/{form}").read_bytes()
        with pytest.raises(InputRefused, match=form):
            weights_from_caffemodel(content[: int(len(content) * share)], form)


def hdf5(**datasets: object) -> bytes:
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, value in datasets.items():
            file.create_dataset(name.replace("__", "/"), data=value)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        hdf5(),
        hdf5(other__a__0=[1.0]),
        hdf5(data=[1.0]),
        hdf5(data__a=[1.0]),
        hdf5(data__a__x=[1.0]),
        hdf5(data__0=[1.0]),
        hdf5(data__a__0="text"),
        hdf5(data__a__0=np.zeros(2, [("re", "f4"), ("im", "f4")])),
        hdf5(data__a__0=h5py.Empty("f4")),
        hdf5(data__a__0=[1.0], data__a__2=[1.0]),
    ],
)
def test_other_hdf5_files_are_refused(content: bytes) -> None:
    with pytest.raises(InputRefused, match=r"^x: "):
        weights_from_caffemodel(content, "x")


def test_nothing_but_refusals_comes_of_damage(truth: Path) -> None:
    """Seeded damage to each form: bytes changed, cut out, put in."""
    rng = random.Random(0)
    small = {name.replace("/", "_"): arrays for name, arrays in SMALL.items()}
    mini = (truth / "formats/mini.caffemodel.h5").read_bytes()
    refused = 0
    for whole in (caffemodel_from_weights(SMALL), hdf5_from_weights(small), mini):
        for _ in range(200):
            content = bytearray(whole)
            for _ in range(rng.randrange(1, 6)):
                at = rng.randrange(8, min(len(content), 9000))
                content[at : at + rng.choice([0, 1, 1, 1, 4])] = rng.randbytes(rng.choice([0, 1, 1, 1, 4]))
            try:
                weights_from_caffemodel(bytes(content), "x")
            except InputRefused as refusal:
                refused += 1
                assert str(refusal).startswith("x: ")
    assert refused > 100
