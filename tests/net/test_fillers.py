"""Fillers: their bounds and spreads against real Caffe's, and what they are by definition."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from trtdream.caffe.prototxt import net_from_text
from trtdream.errors import InputRefused
from trtdream.net.fillers import fill
from trtdream.net.parameters import Filler, VarianceNorm
from trtdream.net.torch_module import TorchNet


def filler_of(text: str) -> Filler:
    layer = f"""layer {{ name: "c" type: "Convolution" bottom: "data" top: "c"
        convolution_param {{ num_output: 96 kernel_size: 3 weight_filler {{ {text} }} }} }}"""
    net = net_from_text('input: "data" input_shape { dim: [1, 32, 9, 9] } ' + layer, "net")
    return net.layers[1].kind.weight_filler  # type: ignore[attr-defined]


def test_against_real_caffe(truth: Path) -> None:
    """27,648 numbers: extremes of uniform ones agree to 1e-3, spreads to 2 %, means to a few standard errors."""
    told = json.loads((truth / "layers/fillers.json").read_text())
    assert len(told) == 6
    for text, figures in told.items():
        shape = tuple(figures["shape"])
        found = fill(filler_of(text), shape, torch.Generator().manual_seed(0))
        spread = figures["std"]
        assert found.std().item() == pytest.approx(spread, rel=0.02), text
        assert abs(found.mean().item()) < 5 * spread / found.numel() ** 0.5, text
        if "xavier" in text:
            assert found.max().item() == pytest.approx(figures["max"], rel=1e-3), text
            assert found.min().item() == pytest.approx(figures["min"], rel=1e-3), text
        else:
            assert found.abs().max().item() < 1.5 * max(-figures["min"], figures["max"]), text


@pytest.mark.parametrize(
    ("norm", "fan"), [(VarianceNorm.FAN_IN, 5 * 9), (VarianceNorm.FAN_OUT, 4 * 9), (VarianceNorm.AVERAGE, 40.5)]
)
def test_fans(norm: VarianceNorm, fan: float) -> None:
    """count / shape[0] and count / shape[1], whatever they are called."""
    uniform = fill(Filler("xavier", variance_norm=norm), (4, 5, 3, 3), torch.Generator().manual_seed(0))
    assert (3 / fan) ** 0.5 * 0.9 < uniform.abs().max() <= (3 / fan) ** 0.5
    normal = fill(Filler("msra", variance_norm=norm), (4, 5, 90, 90), torch.Generator().manual_seed(0))
    assert normal.std().item() == pytest.approx((2 / (fan * 900)) ** 0.5, rel=0.02)


@pytest.mark.parametrize("shape", [(), (7,), (4, 6)])
def test_of_few_dimensions(shape: tuple[int, ...]) -> None:
    """Missing dimensions count as 1 (Blob's legacy shape)."""
    bound = (3 / (6 if len(shape) == 2 else 1)) ** 0.5
    assert fill(Filler("xavier"), shape).abs().max() <= bound
    assert fill(Filler("msra", variance_norm=VarianceNorm.FAN_OUT), shape).shape == shape
    rows = fill(Filler("positive_unitball"), shape).reshape(shape[0] if shape else 1, -1)
    torch.testing.assert_close(rows.sum(1), torch.ones(len(rows)))


def test_constant_uniform_and_gaussian() -> None:
    generator = torch.Generator().manual_seed(0)
    assert fill(Filler(), (3,)).tolist() == [0, 0, 0]
    assert fill(Filler(value=-2.5), (2,)).tolist() == [-2.5, -2.5]
    uniform = fill(Filler("uniform", min=-3, max=-1), (100, 100), generator)
    assert -3 <= uniform.min() < -2.99
    assert -1.01 < uniform.max() <= -1
    assert 0 <= fill(Filler("uniform"), (100,), generator).min() < 0.2
    normal = fill(Filler("gaussian", mean=5, std=0.1), (100, 100), generator)
    assert normal.mean().item() == pytest.approx(5, abs=0.01)
    assert normal.std().item() == pytest.approx(0.1, rel=0.05)
    assert fill(Filler("gaussian"), (100, 100), generator).std().item() == pytest.approx(1, rel=0.05)


def test_sparse_gaussian_keeps_sparse_of_each_shape_0() -> None:
    found = fill(Filler("gaussian", std=1, sparse=5), (50, 400), torch.Generator().manual_seed(0))
    share = (found != 0).float().mean().item()
    assert share == pytest.approx(5 / 50, rel=0.1)
    assert not fill(Filler("gaussian", sparse=0), (5, 5)).any()


def test_positive_unitball_of_pictures() -> None:
    found = fill(Filler("positive_unitball"), (3, 2, 4, 4))
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum((1, 2, 3)), torch.ones(3))


@pytest.mark.parametrize(
    ("size", "row"),
    [
        (5, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]),
        (4, [1 / 4, 3 / 4, 3 / 4, 1 / 4]),
        (3, [1 / 4, 3 / 4, 3 / 4]),  # Caffe's centre goes by the factor's parity, not by the kernel's
        (2, [1, 0]),
        (1, [1]),
    ],
)
def test_bilinear(size: int, row: list[float]) -> None:
    found = fill(Filler("bilinear"), (2, 1, size, size))
    np.testing.assert_allclose(found[1, 0].numpy(), np.outer(row, row), atol=1e-7)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('type: "bilinar"', "unknown filler type 'bilinar'; there are constant"),
        ('type: "xavier" sparse: 3', "sparse goes with a gaussian filler"),
    ],
)
def test_refused(text: str, what: str) -> None:
    layer = f"""layer {{ name: "c" type: "Convolution" bottom: "data" top: "c"
        convolution_param {{ num_output: 2 kernel_h: 3 kernel_w: 2 weight_filler {{ {text} }} }} }}"""
    net = net_from_text('input: "data" input_shape { dim: [1, 1, 9, 9] } ' + layer, "net.prototxt")
    with pytest.raises(InputRefused, match=f"net: layer 'c' .*{what}"):
        TorchNet(net)


@pytest.mark.parametrize("shape", [(2, 2), (1, 1, 3, 2)])
def test_bilinear_wants_a_square_kernel(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="wants a square kernel"):
        fill(Filler("bilinear"), shape)


def test_one_generator_gives_the_same_numbers() -> None:
    once, again = (fill(Filler("msra"), (3, 3), torch.Generator().manual_seed(7)) for _ in range(2))
    torch.testing.assert_close(once, again, rtol=0, atol=0)
