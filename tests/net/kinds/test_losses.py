"""Losses and their gradients against Caffe's formulae, written out in numpy."""

import numpy as np
import pytest
import torch

from tests.net.kinds.single import numbers, shapes_of, single
from trtdream.errors import InputRefused
from trtdream.net.kind import Phase
from trtdream.net.kinds.losses import SoftmaxWithLoss

X = numbers(4, 3, 2, scale=2)  # N x C x positions
LABELS = np.array([[0, 2], [1, 255], [255, 0], [2, 2]], np.float64)  # N x positions
COUNTED = LABELS != 255
BOTTOMS = 'bottom: "x" bottom: "t" top: "loss"'
MODES = [
    ("", "valid"),
    ("normalization: VALID", "valid"),
    ("normalization: FULL", "full"),
    ("normalization: BATCH_SIZE", "batch"),
    ("normalization: NONE", "none"),
    ("normalize: true", "valid"),
    ("normalize: false", "batch"),
    ("normalize: false normalization: FULL", "full"),
]


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@pytest.mark.parametrize(("mode", "divided_by"), MODES)
def test_softmax_loss(mode: str, divided_by: str) -> None:
    run = single(f'type: "SoftmaxWithLoss" {BOTTOMS} loss_param {{ ignore_label: 255 {mode} }}', x=X, t=LABELS[:, None])
    divisor = {"valid": COUNTED.sum(), "full": 8, "batch": 4, "none": 1}[divided_by]
    n, p = np.nonzero(COUNTED)
    probability = softmax(X, 1)
    hit = probability[n, LABELS[n, p].astype(int), p]
    np.testing.assert_allclose(run.top, -np.log(hit).sum() / divisor)
    onehot = np.moveaxis(np.eye(256)[LABELS.astype(int)][..., :3], -1, 1)
    wanted = (probability - onehot) * COUNTED[:, None] / divisor
    np.testing.assert_allclose(run.gradient("x"), wanted, atol=1e-15)


def test_softmax_loss_along_another_axis() -> None:
    labels = np.array([0.0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1, 1]).reshape(4, 3)
    run = single(f'type: "SoftmaxWithLoss" {BOTTOMS} softmax_param {{ axis: -1 }}', x=X, t=labels)
    hit = np.take_along_axis(softmax(X, 2), labels.astype(int)[..., None], 2)
    np.testing.assert_allclose(run.top, -np.log(hit).mean())


def test_softmax_loss_gives_the_probabilities_too() -> None:
    layer = 'type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss" top: "p" loss_weight: 1 loss_weight: 0'
    run = single(layer, x=X[..., 0], t=LABELS[:, 0] % 3)
    np.testing.assert_allclose(run.tops["p"], softmax(X[..., 0], 1))
    assert list(run.module.loss_weights()) == ["loss"]


def test_softmax_loss_is_at_its_floor_for_scores_far_apart() -> None:
    """A training that diverges gets there, in float32, before anything is no number: the loss must not look perfect."""
    scores = torch.tensor([[0.0, 1e20]], requires_grad=True)
    (loss,) = SoftmaxWithLoss().forward([scores, torch.tensor([0.0])], [], Phase.TRAIN, 1)
    loss.backward()
    assert loss.item() == pytest.approx(87.3365, abs=1e-4)
    assert scores.grad is not None and scores.grad.tolist() == [[-1, 1]]


def test_softmax_loss_has_a_floor_but_its_gradient_has_none() -> None:
    run = single(f'type: "SoftmaxWithLoss" {BOTTOMS}', x=[[0.0, 200.0]], t=[0.0])
    np.testing.assert_allclose(run.top, -np.log(1.17549435e-38))
    np.testing.assert_allclose(run.gradient("x"), [[-1, 1]])


@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "SigmoidCrossEntropyLoss"])
def test_everything_ignored_gives_nothing(kind: str) -> None:
    t = [255.0, 255.0] if kind == "SoftmaxWithLoss" else [[255.0] * 3] * 2
    run = single(f'type: "{kind}" {BOTTOMS} loss_param {{ ignore_label: 255 normalize: true }}', x=X[:2, :, 0], t=t)
    assert run.top == 0
    assert not run.gradient("x").any()


@pytest.mark.parametrize(("mode", "divided_by"), [("", "batch"), *MODES[1:]])
def test_sigmoid_cross_entropy(mode: str, divided_by: str) -> None:
    """Its own default is BATCH_SIZE; targets may be soft, and are ignored by their whole part."""
    target = np.random.default_rng(1).uniform(0.01, 1, X.shape)
    target[0, 0] = target[2, 1, 1] = -1
    counted = target != -1
    run = single(f'type: "SigmoidCrossEntropyLoss" {BOTTOMS} loss_param {{ ignore_label: -1 {mode} }}', x=X, t=target)
    divisor = {"valid": counted.sum(), "full": X.size, "batch": 4, "none": 1}[divided_by]
    p = 1 / (1 + np.exp(-X))
    each = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    np.testing.assert_allclose(run.top, each[counted].sum() / divisor)
    np.testing.assert_allclose(run.gradient("x"), (p - target) * counted / divisor)


def test_sigmoid_cross_entropy_ignores_by_the_whole_part() -> None:
    layer = f'type: "SigmoidCrossEntropyLoss" {BOTTOMS} loss_param {{ ignore_label: 0 }}'
    assert single(layer, x=[[0.3, 0.3]], t=[[0.0, 0.9]]).top == 0


def test_sigmoid_cross_entropy_does_not_overflow() -> None:
    run = single(f'type: "SigmoidCrossEntropyLoss" {BOTTOMS}', x=[[900.0, -900.0]], t=[[0.0, 0.0]])
    assert run.top == 900


def test_euclidean() -> None:
    t = numbers(4, 3, 2, seed=1)
    run = single(f'type: "EuclideanLoss" {BOTTOMS}', x=X, t=t)
    np.testing.assert_allclose(run.top, ((X - t) ** 2).sum() / 8)
    np.testing.assert_allclose(run.gradient("x"), (X - t) / 4)
    np.testing.assert_allclose(run.gradient("t"), (t - X) / 4)


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_hinge(norm: str) -> None:
    scores, labels = X[..., 0], np.array([0, 2, 1, 1])
    run = single(f'type: "HingeLoss" {BOTTOMS} hinge_loss_param {{ norm: {norm} }}', x=scores, t=labels)
    sign = 1.0 - 2 * np.eye(3)[labels]
    margin = np.maximum(0, 1 + sign * scores)
    np.testing.assert_allclose(run.top, (margin if norm == "L1" else margin**2).sum() / 4)
    wanted = sign * (np.sign(margin) if norm == "L1" else 2 * margin) / 4
    np.testing.assert_allclose(run.gradient("x"), wanted)


def test_hinge_has_no_gradient_on_the_margin() -> None:
    assert not single(f'type: "HingeLoss" {BOTTOMS}', x=[[1.0, -1.0]], t=[0.0]).gradient("x").any()


CONTRASTIVE = 'type: "ContrastiveLoss" bottom: "a" bottom: "b" bottom: "t" top: "loss"'


@pytest.mark.parametrize("legacy", [False, True])
def test_contrastive(legacy: bool) -> None:
    a, b, similar = numbers(6, 3), numbers(6, 3, seed=1), np.array([1, 0, 1, 0, 0, 0])
    a[4], a[5] = b[4] + 9, b[5] + 0.01
    run = single(
        f"{CONTRASTIVE} contrastive_loss_param {{ margin: 2.5 legacy_version: {str(legacy).lower()} }}",
        a=a,
        b=b,
        t=similar,
    )
    squared = ((a - b) ** 2).sum(1)
    distance = np.sqrt(squared)
    apart = np.maximum(2.5 - squared, 0) if legacy else np.maximum(2.5 - distance, 0) ** 2
    np.testing.assert_allclose(run.top, np.where(similar, squared, apart).sum() / 12)
    slope = -1.0 * (squared < 2.5) if legacy else -np.maximum(2.5 - distance, 0) / (distance + 1e-4)
    wanted = np.where(similar, 1, slope)[:, None] * (a - b) / 6
    assert (slope == 0).any()
    assert (slope < 0).any()
    np.testing.assert_allclose(run.gradient("a"), wanted)
    np.testing.assert_allclose(run.gradient("b"), -wanted)


def test_contrastive_of_equals_has_a_gradient_of_zero() -> None:
    run = single(CONTRASTIVE, a=[[1.0, 2.0]], b=[[1.0, 2.0]], t=[0.0])
    assert run.top == 0.5
    assert run.gradient("a").tolist() == [[0, 0]]


def test_weight_and_automatic_top() -> None:
    run = single('type: "EuclideanLoss" bottom: "x" bottom: "t" loss_weight: 0.3', x=[[3.0]], t=[[1.0]])
    values = run.module(run.inputs)
    assert run.module.loss(values).item() == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        ('type: "EuclideanLoss" bottom: "a" bottom: "b"', "differ in size"),
        ('type: "SigmoidCrossEntropyLoss" bottom: "a" bottom: "l"', "differ in size"),
        ('type: "SoftmaxWithLoss" bottom: "a" bottom: "b"', r"scores \(2, 3\) want 2 labels, there are 6"),
        ('type: "SoftmaxWithLoss" bottom: "a" bottom: "l" softmax_param { axis: 2 }', "axis 2"),
        ('type: "HingeLoss" bottom: "a" bottom: "b"', "want 2 labels, there are 6"),
        ('type: "ContrastiveLoss" bottom: "a" bottom: "b" bottom: "l"', "two bottoms of one shape"),
        ('type: "ContrastiveLoss" bottom: "a" bottom: "a"', "has 2 bottoms, wants 3"),
        ('type: "EuclideanLoss" bottom: "a" bottom: "a" top: "x" top: "y"', "has 2 tops, wants 1"),
        ('type: "EuclideanLoss" bottom: "a" bottom: "a" loss_weight: [1, 2]', "loss_weight is given once a top"),
    ],
)
def test_refused(layer: str, what: str) -> None:
    with pytest.raises(InputRefused, match=what):
        shapes_of(layer, a=(2, 3), b=(3, 2), l=(2,))
