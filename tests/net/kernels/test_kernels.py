"""The Triton kernels against torch's own forms: on a GPU, or on the CPU in Triton's interpreter."""

from collections.abc import Callable
from itertools import product

import pytest
import torch

from trtdream.net.maths.lrn import across_channels_plain
from trtdream.net.maths.pooling import Window, max_pool

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytest.importorskip("triton", reason="triton is not installed (pip install 'trtdream[dev]')")

from trtdream.net.forms import Forms, in_form
from trtdream.net.kernels import lrn
from trtdream.net.kernels import max_pool as pooling
from trtdream.net.kinds.lrn import LRN
from trtdream.net.net import Layer

Operation = Callable[[torch.Tensor], torch.Tensor]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def random(*shape: int, dtype: torch.dtype = torch.float32, layout: torch.memory_format = LAYOUTS[0]) -> torch.Tensor:
    x = 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return x.to(DEVICE, dtype).contiguous(memory_format=layout)


def with_gradient(operation: Operation, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = x.clone().requires_grad_()
    y = operation(leaf)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).bfloat16()  # so that all can hold it
    (gradient,) = torch.autograd.grad(y, leaf, upstream.to(y.device, y.dtype))
    return y.detach(), gradient


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("size", "alpha", "beta", "k"), [(5, 1e-4, 0.75, 1.0), (3, 0.9, 0.5, 2.0), (9, 2.0, 1.3, 1.0)])
def test_lrn(layout: torch.memory_format, size: int, alpha: float, beta: float, k: float) -> None:
    x = random(2, 6, 5, 4, layout=layout)
    found = with_gradient(lambda x: lrn.across_channels(x, size, alpha, beta, k), x)
    told = with_gradient(lambda x: across_channels_plain(x, size, alpha, beta, k), x.double())
    for one, other in zip(found, told, strict=True):
        torch.testing.assert_close(one, other.float(), rtol=2e-5, atol=2e-6)


def test_lrn_in_bf16_computes_in_float32() -> None:
    """One rounding, of the result: Triton's interpreter cuts off where a GPU rounds, so a whole unit of 8 bits."""
    x = random(1, 64, 3, 3, dtype=torch.bfloat16)
    found = with_gradient(lambda x: lrn.across_channels(x, 5, 1.0, 0.75, 1.0), x)
    told = with_gradient(lambda x: across_channels_plain(x, 5, 1.0, 0.75, 1.0), x.double())
    assert all(value.dtype == torch.bfloat16 for value in found)
    for one, other in zip(found, told, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=2**-7, atol=1e-5)


GEOMETRIES = [
    ((9, 7), (3, 3), (2, 2), (0, 0)),  # Caffe's: the last windows reach beyond the map
    ((9, 7), (3, 3), (1, 1), (1, 1)),  # inception's
    ((7, 7), (2, 2), (2, 2), (1, 1)),  # a last window dropped
    ((6, 5), (2, 3), (3, 2), (1, 0)),
    ((5, 8), (2, 2), (4, 4), (0, 0)),  # numbers that no window holds
    ((5, 5), (1, 1), (3, 3), (0, 0)),
    ((6, 6), (4, 4), (4, 4), (3, 3)),  # a padding of more than half the kernel
]


@pytest.mark.parametrize(("geometry", "ties"), list(product(GEOMETRIES, [False, True])))
def test_max_pool(geometry: tuple[tuple[int, int], ...], ties: bool) -> None:
    window = Window.over(*geometry, ceil=True)  # type: ignore[call-arg,misc]
    x = random(2, 5 if ties else 24, *geometry[0], layout=torch.channels_last)
    x = x.sign() if ties else x
    found = with_gradient(lambda x: pooling.max_pool(x, window), x)
    told = with_gradient(lambda x: max_pool(x, window), x)
    torch.testing.assert_close(found[0], told[0], rtol=0, atol=0)
    torch.testing.assert_close(found[1], told[1], rtol=1e-6, atol=1e-6)


def test_of_equal_numbers_the_first_gets_the_gradient() -> None:
    """Caffe's rule, written out: one window of four equal numbers."""
    window = Window.over((2, 2), (2, 2), (2, 2), (0, 0), ceil=True)
    x = torch.zeros(1, 1, 2, 2, device=DEVICE, requires_grad=True)
    pooling.max_pool(x, window).sum().backward()
    assert x.grad is not None and x.grad.flatten().tolist() == [1, 0, 0, 0]


def test_a_window_of_nothing_but_minus_infinity_and_nan() -> None:
    window = Window.over((2, 4), (2, 2), (2, 2), (0, 0), ceil=True)
    x = torch.full((1, 1, 2, 4), float("-inf"), device=DEVICE)
    x[..., 3] = float("nan")
    found = pooling.max_pool(x, window).flatten().tolist()
    assert found[0] == float("-inf") and found[1] != found[1]


def test_max_pool_in_bf16() -> None:
    window = Window.over((9, 7), (3, 3), (2, 2), (0, 0), ceil=True)
    x = random(2, 5, 9, 7, dtype=torch.bfloat16)
    found = with_gradient(lambda x: pooling.max_pool(x, window), x)
    told = with_gradient(lambda x: max_pool(x, window), x.float())
    torch.testing.assert_close(found[0].float(), told[0], rtol=0, atol=0)
    torch.testing.assert_close(
        found[1].float(), told[1], rtol=2**-6, atol=2**-6
    )  # the upstream gradient is rounded too


@pytest.mark.parametrize("operator", ["lrn", "max_pool"])
def test_the_operators_are_what_they_say(operator: str) -> None:
    """torch's own check of schema, autograd and fake tensors."""
    arguments = {"lrn": (5, 1e-4, 0.75, 1.0), "max_pool": ([3, 3, 2, 2, 0, 0, 4, 3],)}[operator]
    x = random(2, 5, 9, 7, layout=torch.channels_last).requires_grad_()
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(getattr(torch.ops.trtdream, operator).default, (x, *arguments), test_utils=checks)


def test_a_compiled_function_keeps_them_whole() -> None:
    window = Window.over((9, 7), (3, 3), (2, 2), (0, 0), ceil=True)

    def both(x: torch.Tensor) -> torch.Tensor:
        return lrn.across_channels(pooling.max_pool(x, window), 5, 1.0, 0.75, 1.0)

    x = random(2, 5, 9, 7, layout=torch.channels_last)
    compiled = torch.compile(both, backend="aot_eager", fullgraph=True)
    for one, other in zip(with_gradient(compiled, x), with_gradient(both, x), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_what_they_cannot_do_goes_to_torchs_form() -> None:
    """float64 is not rounded to float32."""
    from trtdream.net.graph import Step
    from trtdream.net.kind import Phase

    step = in_form(Step(Layer("norm", LRN(alpha=1.0)), ("x",), ("y",)), Forms(triton_lrn=True))
    x = random(1, 5, 3, 3, dtype=torch.float64)
    (found,) = step.layer.kind.forward([x], [], Phase.TRAIN, 1)
    torch.testing.assert_close(found, across_channels_plain(x, 5, 1.0, 0.75, 1.0), rtol=1e-12, atol=1e-12)
    big = Window.over((16, 16), (16, 16), (1, 1), (0, 0), ceil=True)
    assert not pooling.takes(torch.zeros(1, 1, 16, 16), big)
