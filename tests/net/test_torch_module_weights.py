"""The torch module's weights: shared by name, loaded whole, in part or not at all."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from tests.net.test_torch_module import CONV, DATA, FC, POOL, RELU, SMALL, module, net
from trtdream.errors import InputRefused
from trtdream.net.kind import Phase
from trtdream.net.torch_module import TorchNet

TWO = 'name: "data" type: "Input" top: "a" top: "b" input_param { shape { dim: [2, 6] } }'
FIRST = """name: "first" type: "InnerProduct" bottom: "a" top: "first" param { name: "w" } param { name: "bias" }
    inner_product_param { num_output: 4 weight_filler { type: "gaussian" } bias_filler { value: 0.5 } }"""
SECOND = FIRST.replace('"first"', '"second"').replace('"a"', '"b"').replace("0.5", "7")


def inner_product(name: str, bottom: str, outputs: int, more: str) -> str:
    return f"""name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" {more}
        inner_product_param {{ num_output: {outputs} bias_term: false weight_filler {{ type: "gaussian" }} }}"""


def test_shared_weights_are_one_parameter() -> None:
    run = module(TWO, FIRST, SECOND)
    assert list(run.state_dict()) == ["first.0", "first.1"]
    assert run.weight(("second", 0)) is run.weight(("first", 0))
    a, b = torch.randn(2, 2, 6).unbind()
    values = run({"a": a, "b": b})
    torch.testing.assert_close(values["second"], b @ run.weight(("first", 0)).T + 0.5)
    sum(value.sum() for value in values.values()).backward()
    wanted = (a + b).sum(0).expand(4, 6)
    torch.testing.assert_close(run.weight(("first", 0)).grad, wanted)
    assert [key for key, _ in run.weight_keys()] == [("first", 0), ("first", 1)]
    arrays = run.arrays()
    np.testing.assert_array_equal(arrays["first"][0], arrays["second"][0])


def test_only_the_weight_shared() -> None:
    run = module(TWO, FIRST, SECOND.replace('name: "bias"', ""))
    assert list(run.state_dict()) == ["first.0", "first.1", "second.1"]
    assert run.arrays()["second"][1].tolist() == [7] * 4


def test_strict_sharing_wants_one_shape() -> None:
    wider = inner_product("second", "b", 5, 'param { name: "w" }')
    with pytest.raises(InputRefused, match=r"net: layer 'second' .*shares 'w' of shape \(4, 6\), but needs \(5, 6\)"):
        module(TWO, FIRST, wider)


def test_permissive_sharing_wants_one_count() -> None:
    """Each layer sees the numbers in its own shape."""
    shared = 'param { name: "w" share_mode: PERMISSIVE }'
    layers = (TWO, inner_product("first", "a", 4, shared), 'name: "s" type: "Slice" bottom: "b" top: "l" top: "r"')
    run = module(*layers, inner_product("second", "l", 8, shared))
    b = torch.randn(2, 6)
    found = run({"a": torch.zeros(2, 6), "b": b}, ["second"])["second"]
    torch.testing.assert_close(found, b[:, :3] @ run.weight(("first", 0)).reshape(8, 3).T)
    assert [array.shape for array in run.arrays()["second"]] == [(8, 3)]
    loaded = np.arange(24, dtype=np.float32).reshape(8, 3)
    run.load({"first": [np.zeros((4, 6))], "second": [loaded]}, "file")
    np.testing.assert_array_equal(run.weight(("first", 0)).detach().numpy(), loaded.reshape(4, 6))
    with pytest.raises(InputRefused, match="shares 'w'"):
        module(*layers, inner_product("second", "l", 9, shared))


def test_a_sharing_layer_may_be_missing_from_the_file() -> None:
    """Caffe's HDF5 files hold a shared weight under its owner alone."""
    run = module(TWO, FIRST, SECOND)
    owner = {"first": [np.ones((4, 6), np.float32), np.zeros(4, np.float32)]}
    assert run.load(owner, "file").missing == ()
    assert run.arrays()["second"][0].all()
    with pytest.raises(InputRefused, match="no weights for first"):
        run.load({"second": owner["first"]}, "file")


def arrays(seed: int = 3, **changed: tuple[np.ndarray, ...] | None) -> dict[str, tuple[np.ndarray, ...]]:
    random = np.random.default_rng(seed)
    found = {
        "conv": (random.normal(size=(4, 3, 3, 3)), random.normal(size=4)),
        "fc": (random.normal(size=(5, 64)), random.normal(size=5)),
    }
    return {name: value for name, value in {**found, **changed}.items() if value is not None}


def test_load() -> None:
    run = module(*SMALL)
    told = run.load({**arrays(), "elsewhere": (np.ones(3),)}, "file")
    assert (told.taken, told.missing, told.unfit, told.unused) == (("conv", "fc"), (), (), ("elsewhere",))
    for name, values in arrays().items():
        for found, value in zip(run.arrays()[name], values, strict=True):
            np.testing.assert_array_equal(found, value.astype(np.float32))


def test_leading_ones_do_not_matter() -> None:
    """Old files give every weight four dimensions."""
    weight, bias = arrays()["fc"]
    run = module(*SMALL)
    run.load(arrays(fc=(weight.reshape(1, 1, 5, 64), bias.reshape(1, 1, 1, 5))), "file")
    np.testing.assert_array_equal(run.arrays()["fc"][0], weight.astype(np.float32))


@pytest.mark.parametrize(
    ("weights", "what"),
    [
        (arrays(fc=None), r"file: does not fit net: no weights for fc \(1 layers do fit\)"),
        (arrays(fc=(np.ones((5, 64)),)), r"wrong shape for fc \(1 weights for 2\)"),
        (arrays(fc=(np.ones((64, 5)), np.ones(5))), r"wrong shape for fc \(64x5 for 5x64\)"),
        (arrays(conv=(np.ones((4, 3, 1, 3, 3)), np.ones(4))), r"wrong shape for conv"),
        (arrays(conv=(np.ones((4, 3, 3, 3)), np.ones(4), np.ones(4))), r"conv \(3 weights for 2\)"),
        ({"ip1": (np.ones((5, 64)),)}, "file: holds weights of another network: not one layer of net fits"),
        ({}, "another network"),
    ],
)
def test_wrong_weights_change_nothing(weights: Mapping[str, tuple[np.ndarray, ...]], what: str) -> None:
    run = module(*SMALL)
    before = run.arrays()
    with pytest.raises(InputRefused, match=what):
        run.load(weights, "file")
    for name, values in run.arrays().items():
        for now, then in zip(values, before[name], strict=True):
            np.testing.assert_array_equal(now, then)


def test_partial_load() -> None:
    run = module(*SMALL)
    before = run.arrays()
    told = run.load(arrays(fc=(np.ones((7, 64)), np.ones(7))), "file", partial=True)
    assert told.taken == ("conv",)
    assert told.unfit == ("fc (7x64 for 5x64)",)
    np.testing.assert_array_equal(run.arrays()["fc"][0], before["fc"][0])
    np.testing.assert_array_equal(run.arrays()["conv"][1], arrays()["conv"][1].astype(np.float32))


def test_load_into_another_precision_and_layout() -> None:
    run = module(*SMALL).to(torch.bfloat16).to(memory_format=torch.channels_last)
    run.load(arrays(), "file")
    np.testing.assert_allclose(run.arrays()["conv"][0], arrays()["conv"][0], rtol=1e-2)


def test_running_sums_are_kept_with_the_weights() -> None:
    layers = (DATA, CONV, 'name: "bn" type: "BatchNorm" bottom: "conv" top: "bn"')
    train = module(*layers, phase=Phase.TRAIN)
    x = torch.randn(2, 3, 8, 8)
    train(x)
    assert train.arrays()["bn"][2].tolist() == [1]
    test = module(*layers)
    test.load(train.arrays(), "file")
    conv = test(x, ["conv"])["conv"].detach()
    mean, variance = conv.mean((0, 2, 3)), conv.var((0, 2, 3))
    wanted = (conv - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    torch.testing.assert_close(test(x)["bn"].detach(), wanted)


def test_fillers_follow_the_generator() -> None:
    once, again, other = (module(*SMALL, seed=seed).state_dict() for seed in (1, 1, 2))
    for name, value in once.items():
        torch.testing.assert_close(value, again[name], rtol=0, atol=0)
    assert not torch.equal(once["fc.0"], other["fc.0"])
    assert isinstance(TorchNet(net(DATA, CONV, RELU, POOL, FC)), torch.nn.Module)
