"""Each way to compute the same training against the plain one: one body, on the CPU and on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.train.mini import SHAPES, Images, mini_solver
from trtdream.caffe.prototxt import read_prototxt
from trtdream.net.forms import Forms
from trtdream.net.kind import Phase
from trtdream.net.torch_module import TorchNet
from trtdream.recipe.schema import Solver
from trtdream.train.fused import FusedUpdate
from trtdream.train.graph import GraphStep
from trtdream.train.policies import learning_rate
from trtdream.train.rules import Update, learned_weights
from trtdream.train.step import Inputs, Step

Make = Callable[[TorchNet, Update], Step]
ITERATIONS = 8


@pytest.fixture(autouse=True, scope="module")
def two_threads() -> Iterator[None]:
    """As many as Caffe had: with another number sums round otherwise, and one flipped max-pool switch moves all."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def _train(
    folder: Path,
    make: Make,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
    fused: bool = False,
    solver: Solver | None = None,
    forms: Forms | None = None,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Losses of eight iterations and the weights after them, from Caffe's initial weights on Caffe's batches."""
    solver = solver or mini_solver(0.05)
    net = TorchNet(read_prototxt(folder / "net.prototxt"), Phase.TRAIN, SHAPES)
    initial = np.load(folder / "initial_weights.npz")
    with torch.no_grad():
        for (layer, index), tensor in net.weight_keys():
            tensor.copy_(torch.from_numpy(initial[f"{layer}.{index}"]))
    layout = torch.channels_last if channels_last else torch.preserve_format
    net.to(device=torch.device(device), memory_format=layout)  # type: ignore[call-overload]
    net.forms = forms or Forms()
    net.compute_dtype = None if dtype == torch.float32 else dtype
    update = (FusedUpdate if fused else Update)(solver, learned_weights(net))
    step, images = make(net, update), Images(folder)
    rows = np.load(folder / "it1_run.npz")["batch_index"]
    losses = []
    for iteration in range(ITERATIONS):
        blobs = images.batch(rows[iteration]).blobs
        data = blobs["data"].to(device, dtype)
        data = data.contiguous(memory_format=torch.channels_last) if channels_last else data
        batch = Inputs({"data": data, "label": blobs["label"].to(device)})
        outcome = step.run([batch], learning_rate(solver, iteration))
        losses.append(outcome.loss.clone())
    return torch.stack(losses).cpu().numpy(), [w.tensor.detach().cpu().numpy() for w in update.weights]


def _close(found: tuple[np.ndarray, list[np.ndarray]], plain: tuple[np.ndarray, list[np.ndarray]], far: float) -> None:
    np.testing.assert_allclose(found[0], plain[0], rtol=far)
    for one, other in zip(found[1], plain[1], strict=True):
        assert np.linalg.norm(one - other) <= far * np.linalg.norm(other)


@pytest.fixture(scope="module")
def plain(truth: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    return _train(truth / "train", Step)


def test_channels_last_and_fused(truth: Path, plain: tuple[np.ndarray, list[np.ndarray]]) -> None:
    _close(_train(truth / "train", Step, channels_last=True, fused=True), plain, 2e-5)


def test_bf16_keeps_float32_masters(truth: Path, plain: tuple[np.ndarray, list[np.ndarray]]) -> None:
    """bf16 has 8 bits: losses within 2 %, all weights (which are float32) within 0.5 %; and it is not the same."""
    found = _train(truth / "train", Step, dtype=torch.bfloat16, channels_last=True, fused=True)
    assert all(weight.dtype == np.float32 for weight in found[1])
    np.testing.assert_allclose(found[0], plain[0], rtol=2e-2)
    one, other = (np.concatenate([weight.ravel() for weight in run[1]]) for run in (found, plain))
    assert np.linalg.norm(one - other) < 5e-3 * np.linalg.norm(other)
    assert not np.array_equal(found[0], plain[0])


@pytest.mark.full
def test_compiled(truth: Path, plain: tuple[np.ndarray, list[np.ndarray]]) -> None:
    """The compiler adds in another order, and a max-pool switch may flip."""
    _close(_train(truth / "train", lambda net, update: Step(net, update, compiled=True)), plain, 5e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("make", [Step, GraphStep])
def test_on_a_gpu(truth: Path, plain: tuple[np.ndarray, list[np.ndarray]], make: Make) -> None:
    """float32 without tf32; a GPU adds in another order, and a max-pool switch may flip."""
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    _close(_train(truth / "train", make, device="cuda", channels_last=True, fused=True), plain, 1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_the_graph_computes_what_the_plain_step_does(
    truth: Path, dtype: torch.dtype, kind: str, compiled: bool
) -> None:
    solver = mini_solver(0.05, type=kind, clip_gradients=5.0)
    both = [
        _train(truth / "train", make, "cuda", dtype, channels_last=True, fused=True, solver=solver)
        for make in (Step, lambda net, update: GraphStep(net, update, compiled))
    ]
    _close(both[1], both[0], (5e-4 if compiled else 1e-4) if dtype == torch.float32 else 2e-2)


ALL_FORMS = Forms(True, True, True, True, True)


def test_other_forms_of_the_net(truth: Path, plain: tuple[np.ndarray, list[np.ndarray]]) -> None:
    """Sums in another order, and a max-pool switch may flip."""
    forms = replace(ALL_FORMS, triton_lrn=False, triton_max_pool=False)  # these have tests of their own
    _close(_train(truth / "train", Step, channels_last=True, fused=True, forms=forms), plain, 5e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("make", [Step, GraphStep])
def test_all_forms_on_a_gpu(truth: Path, plain: tuple[np.ndarray, list[np.ndarray]], make: Make) -> None:
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    found = _train(truth / "train", make, device="cuda", channels_last=True, fused=True, forms=ALL_FORMS)
    _close(found, plain, 1e-3)
