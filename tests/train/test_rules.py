"""The update, one step at a time and running free, against real Caffe; the fused form against the plain one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.train.mini import Images, at, mini_net, mini_solver, put
from trtdream.recipe.schema import Solver
from trtdream.train.fused import FusedUpdate
from trtdream.train.policies import learning_rate
from trtdream.train.rules import RULES, Learned, Update, learned_weights
from trtdream.train.step import Step

FORMS = [Update, FusedUpdate]
DECAY = {"it1": 0.0005, "wd": 0.05}


@pytest.fixture(autouse=True, scope="module")
def two_threads() -> Iterator[None]:
    """As many as Caffe had: with another number sums round otherwise, and one flipped max-pool switch moves all."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("run", ["it1", "wd"])
@pytest.mark.parametrize("start", [1, 10, 24, 25, 26, 39])
def test_one_step_from_caffes_state_is_caffes_step(truth: Path, form: type[Update], run: str, start: int) -> None:
    """25 is the step of the learning rate; `wd` has a decay large enough to be seen."""
    folder = truth / "train"
    solver = mini_solver(DECAY[run])
    net = mini_net(folder)
    put(net, at(folder / f"{run}_weights.npz", start))
    update = form(solver, learned_weights(net))
    momentum = at(folder / f"{run}_momentum.npz", start)
    for weight, buffer in zip(update.weights, update.history[0], strict=True):
        buffer.copy_(torch.from_numpy(momentum[weight.name]))
    noted = np.load(folder / f"{run}_run.npz")
    batch = Images(folder).batch(noted["batch_index"][start])
    outcome = Step(net, update).run([batch], learning_rate(solver, start))
    assert outcome.loss.item() == pytest.approx(noted["loss_per_subbatch_float32"][start, 0], rel=1e-5)
    after = {kind: at(folder / f"{run}_{kind}.npz", start + 1) for kind in ("weights", "momentum")}
    before = at(folder / f"{run}_weights.npz", start)
    for weight, buffer in zip(update.weights, update.history[0], strict=True):
        moved = after["weights"][weight.name] - before[weight.name]
        found = weight.tensor.detach().numpy() - before[weight.name]
        assert _relative(found, moved) < 2e-5 + _rounding(before[weight.name], moved), weight.name
        assert _relative(weight.tensor.detach().numpy(), after["weights"][weight.name]) < 2e-5, weight.name
        assert _relative(buffer.numpy(), after["momentum"][weight.name]) < 2e-5, weight.name


@pytest.mark.parametrize("run", ["it1", "wd"])
def test_a_free_run_follows_caffes(truth: Path, run: str) -> None:
    folder = truth / "train"
    solver = mini_solver(DECAY[run])
    losses, _ = _train(folder, solver, np.load(folder / f"{run}_run.npz")["batch_index"])
    noted = np.load(folder / f"{run}_run.npz")["loss_per_subbatch_float32"][:, 0]
    difference = np.abs(losses - noted)
    assert difference[:25].max() < 1e-3
    assert difference.max() < 1e-2


def test_iter_size_averages_and_does_not_scale_the_decay(truth: Path) -> None:
    """Two batches of 8 by iter_size 2 are one of 16: Caffe's rule, and that of the run `it1`."""
    folder = truth / "train"
    indices = np.load(folder / "it1_run.npz")["batch_index"]
    together, one = _train(folder, mini_solver(0.05), indices[:5])
    apart, two = _train(folder, mini_solver(0.05, iter_size=2), indices[:5].reshape(10, 8))
    np.testing.assert_allclose(apart, together, rtol=1e-5)
    for weight, other in zip(one.weights, two.weights, strict=True):
        torch.testing.assert_close(other.tensor, weight.tensor, rtol=1e-4, atol=1e-6)


def _train(folder: Path, solver: Solver, indices: np.ndarray) -> tuple[np.ndarray, Update]:
    net = mini_net(folder)
    put(net, dict(np.load(folder / "initial_weights.npz")))
    update = Update(solver, learned_weights(net))
    step, images = Step(net, update), Images(folder)
    batches = [images.batch(row) for row in indices]
    size = solver.iter_size
    losses = [
        step.run(batches[i * size : (i + 1) * size], learning_rate(solver, i)).loss.item()
        for i in range(len(batches) // size)
    ]
    return np.array(losses), update


@pytest.mark.parametrize("kind", sorted(RULES))
def test_rules_in_float64_numpy(kind: str) -> None:
    """Each rule written a second time, in numpy and float64, from the definitions in Caffe's documentation."""
    momentum = 0.0 if kind in ("AdaGrad", "RMSProp") else 0.9
    solver = Solver(
        type=kind, base_lr=0.02, max_iter=9, momentum=momentum, delta=1e-6, weight_decay=0.01, momentum2=0.99
    )
    update, gradients = _problem(Update, solver)
    expected = [weight.tensor.detach().double().numpy() for weight in update.weights]
    memory = [_Memory(np.zeros_like(w), np.zeros_like(w)) for w in expected]
    for iteration, each in enumerate(gradients):
        for weight, gradient in zip(update.weights, each, strict=True):
            weight.tensor.grad = gradient.clone()
        update.apply(update.scaled(0.02, iteration))
        for i, gradient in enumerate(each):
            weight = update.weights[i]
            g = gradient.double().numpy() + 0.01 * weight.decay_mult * expected[i]
            expected[i] = expected[i] - _REFERENCE[kind](g, memory[i], 0.02 * weight.lr_mult, solver, iteration + 1)
    for weight, array in zip(update.weights, expected, strict=True):
        assert _relative(weight.tensor.detach().numpy(), array) < 2e-6


@pytest.mark.parametrize("rate_on_device", [False, True])
@pytest.mark.parametrize("regularization", ["L1", "L2"])
@pytest.mark.parametrize("kind", sorted(RULES))
def test_the_fused_form_equals_the_plain_one(kind: str, regularization: str, rate_on_device: bool) -> None:
    momentum = 0.0 if kind in ("AdaGrad", "RMSProp") else 0.9
    solver = Solver(
        type=kind,
        base_lr=0.02,
        max_iter=9,
        momentum=momentum,
        weight_decay=0.01,
        regularization_type=regularization,
        clip_gradients=3.0,
        iter_size=2,
    )
    plain, gradients = _problem(Update, solver)
    fused, _ = _problem(FusedUpdate, solver)
    for iteration, each in enumerate(gradients):
        for update in (plain, fused):
            for weight, gradient in zip(update.weights, each, strict=True):
                weight.tensor.grad = gradient.clone()
            rate = update.scaled(0.02, iteration)
            update.apply(torch.tensor(rate) if rate_on_device else rate)
    for one, other in zip(plain.weights, fused.weights, strict=True):
        assert _relative(other.tensor.detach().numpy(), one.tensor.detach().numpy()) < 1e-6
    for one_buffer, other_buffer in zip(plain.history, fused.history, strict=True):
        for one_tensor, other_tensor in zip(one_buffer, other_buffer, strict=True):
            assert _relative(other_tensor.numpy(), one_tensor.numpy()) < 1e-6


def test_the_fused_form_can_be_compiled_whole() -> None:
    """As the CUDA graph does it: the rate is on the device, and a change of it compiles nothing."""
    solver = Solver(base_lr=0.02, max_iter=9, momentum=0.9, weight_decay=0.01, clip_gradients=3.0)
    plain, gradients = _problem(Update, solver)
    fused, _ = _problem(FusedUpdate, solver)
    compiled = torch.compile(fused.apply, backend="aot_eager", fullgraph=True, dynamic=False)
    torch._dynamo.utils.counters.clear()
    for rate, each in zip((0.02, 0.02, 0.002), gradients, strict=False):
        for update, apply in ((plain, plain.apply), (fused, compiled)):
            for weight, gradient in zip(update.weights, each, strict=True):
                weight.tensor.grad = gradient.clone()
            apply(torch.tensor(rate))
    for one, other in zip(plain.weights, fused.weights, strict=True):
        assert _relative(other.tensor.detach().numpy(), one.tensor.detach().numpy()) < 1e-6
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_clipping_takes_the_norm_of_all_gradients_together() -> None:
    """Before the division by iter_size, and not at all where the norm is within the limit."""
    solver = Solver(base_lr=1.0, max_iter=1, clip_gradients=2.5, iter_size=2)
    weights = [Learned(("a", i), torch.zeros(1, requires_grad=True), 1, 0) for i in range(2)]
    for gradients, moved in (((3.0, 4.0), (0.75, 1.0)), ((0.6, 0.8), (0.3, 0.4)), ((0.0, 0.0), (0.0, 0.0))):
        update = Update(solver, weights)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.tensor.data.zero_()
            weight.tensor.grad = torch.tensor([gradient])
        update.apply(1.0)
        assert [-w.tensor.item() for w in weights] == pytest.approx(moved)


def test_a_weight_that_no_loss_reaches_still_decays() -> None:
    weight = Learned(("a", 0), torch.ones(1, requires_grad=True), 1, 1)
    for form in FORMS:
        weight.tensor.data.fill_(1)
        form(Solver(base_lr=0.5, max_iter=1, weight_decay=0.2), [weight]).apply(0.5)
        assert weight.tensor.item() == pytest.approx(0.9)


class _Memory:
    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        self.first, self.second = first, second


def _np_sgd(g: np.ndarray, m: _Memory, rate: float, s: Solver, _t: int) -> np.ndarray:
    m.first = s.momentum * m.first + rate * g
    return m.first


def _np_nesterov(g: np.ndarray, m: _Memory, rate: float, s: Solver, _t: int) -> np.ndarray:
    old, m.first = m.first, s.momentum * m.first + rate * g
    return (1 + s.momentum) * m.first - s.momentum * old


def _np_adagrad(g: np.ndarray, m: _Memory, rate: float, s: Solver, _t: int) -> np.ndarray:
    m.first = m.first + g * g
    return rate * g / (np.sqrt(m.first) + s.delta)


def _np_rmsprop(g: np.ndarray, m: _Memory, rate: float, s: Solver, _t: int) -> np.ndarray:
    m.first = s.rms_decay * m.first + (1 - s.rms_decay) * g * g
    return rate * g / (np.sqrt(m.first) + s.delta)


def _np_adadelta(g: np.ndarray, m: _Memory, rate: float, s: Solver, _t: int) -> np.ndarray:
    m.first = s.momentum * m.first + (1 - s.momentum) * g * g
    v = g * np.sqrt((s.delta + m.second) / (s.delta + m.first))
    m.second = s.momentum * m.second + (1 - s.momentum) * v * v
    return rate * v


def _np_adam(g: np.ndarray, m: _Memory, rate: float, s: Solver, t: int) -> np.ndarray:
    m.first = s.momentum * m.first + (1 - s.momentum) * g
    m.second = s.momentum2 * m.second + (1 - s.momentum2) * g * g
    return rate * np.sqrt(1 - s.momentum2**t) / (1 - s.momentum**t) * m.first / (np.sqrt(m.second) + s.delta)


_REFERENCE = {
    "SGD": _np_sgd,
    "Nesterov": _np_nesterov,
    "AdaGrad": _np_adagrad,
    "RMSProp": _np_rmsprop,
    "AdaDelta": _np_adadelta,
    "Adam": _np_adam,
}


def _problem(form: type[Update], solver: Solver) -> tuple[Update, list[list[torch.Tensor]]]:
    """Three weights with different multipliers, and gradients for eight iterations."""
    random = torch.Generator().manual_seed(0)
    shapes = [((5, 4), 1.0, 1.0), ((5,), 2.0, 0.0), ((3, 2), 0.7, 0.5)]
    weights = [
        Learned((f"layer{i}", 0), torch.randn(shape, generator=random).requires_grad_(), lr, decay)
        for i, (shape, lr, decay) in enumerate(shapes)
    ]
    gradients = [[torch.randn(shape, generator=random) for shape, _, _ in shapes] for _ in range(8)]
    return form(solver, weights), gradients


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    """The difference's norm over the expected value's."""
    return float(np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1e-30))


def _rounding(weights: np.ndarray, moved: np.ndarray) -> float:
    """What float32 weights alone make of an update's relative error: two roundings of each weight."""
    return float(2**-24 * np.linalg.norm(weights) * 2 / max(np.linalg.norm(moved), 1e-30))
