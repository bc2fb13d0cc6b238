"""Softmax, Dropout and Accuracy."""

import numpy as np
import pytest
import torch

from tests.net.kinds.single import numbers, shapes_of, single
from trtdream.errors import InputRefused
from trtdream.net.kind import Phase

X = numbers(2, 3, 4)


@pytest.mark.parametrize(("param", "axis"), [("", 1), ("axis: 0", 0), ("axis: -1 engine: CAFFE", 2)])
def test_softmax(param: str, axis: int) -> None:
    run = single(f'type: "Softmax" bottom: "x" top: "y" softmax_param {{ {param} }}', x=X)
    e = np.exp(X)
    np.testing.assert_allclose(run.top, e / e.sum(axis, keepdims=True))
    run.check_gradients("x")


def test_dropout_in_train() -> None:
    """Each number is 0 with probability 0.7, or grows by 1 / 0.3; the gradient is masked the same way."""
    torch.manual_seed(0)
    run = single('type: "Dropout" bottom: "x" top: "y" dropout_param { dropout_ratio: 0.7 }', x=np.ones((100, 100)))
    np.testing.assert_array_equal(run.top, np.ones((100, 100)))
    train = single(
        'type: "Dropout" bottom: "x" top: "y" dropout_param { dropout_ratio: 0.7 }',
        phase=Phase.TRAIN,
        x=np.ones((9, 999)),
    )
    top = train.module(train.inputs)["y"]
    y = top.detach().numpy()
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.3])
    assert abs((y == 0).mean() - 0.7) < 0.02  # 8991 draws: a standard deviation of 0.005
    np.testing.assert_array_equal(torch.autograd.grad(top.sum(), train.inputs["x"])[0].numpy(), y)


@pytest.mark.parametrize("ratio", ["1", "-0.1", "1.5"])
def test_dropout_refused(ratio: str) -> None:
    with pytest.raises(InputRefused, match="dropout_ratio"):
        shapes_of(f'type: "Dropout" bottom: "x" top: "y" dropout_param {{ dropout_ratio: {ratio} }}', x=X.shape)


SCORES = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])
LABELS = np.array([1.0, 2, 2, 0, 255])


@pytest.mark.parametrize(
    ("param", "accuracy", "per_class"),
    [
        ("ignore_label: 255", 2 / 4, [0, 1, 1 / 2]),  # a tie counts against the fourth
        ("ignore_label: 255 top_k: 2", 4 / 4, [1, 1, 1]),
        ("ignore_label: 255 top_k: 3", 1, [1, 1, 1]),
    ],
)
def test_accuracy(param: str, accuracy: float, per_class: list[float]) -> None:
    layer = f'type: "Accuracy" bottom: "x" bottom: "t" top: "a" top: "c" accuracy_param {{ {param} }}'
    run = single(layer, x=SCORES, t=LABELS)
    assert run.tops["a"] == pytest.approx(accuracy)
    assert run.tops["c"] == pytest.approx(per_class)


def test_accuracy_at_positions() -> None:
    x = np.zeros((1, 2, 2, 2))
    x[0, 1, 0] = 1  # class 1 wins in the upper row; below is a tie
    layer = 'type: "Accuracy" bottom: "x" bottom: "t" top: "a" top: "c"'
    run = single(layer, x=x, t=[[[1.0, 0.0], [1.0, 1.0]]])
    assert run.tops["a"] == 0.25
    assert run.tops["c"] == pytest.approx([0, 1 / 3])


def test_accuracy_of_nothing_is_zero() -> None:
    layer = 'type: "Accuracy" bottom: "x" bottom: "t" top: "a" accuracy_param { ignore_label: 0 }'
    assert single(layer, x=SCORES[:2], t=[0.0, 0.0]).top == 0


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        ('bottom: "x" bottom: "t" top: "a" accuracy_param { top_k: 4 }', "top_k 4 must be between 1 and the 3"),
        ('bottom: "x" bottom: "t" top: "a" accuracy_param { top_k: 0 }', "top_k 0"),
        ('bottom: "x" bottom: "x" top: "a"', "want a label for each position, there are 15"),
        ('bottom: "x" top: "a"', "has 1 bottoms, wants 2"),
    ],
)
def test_accuracy_refused(layer: str, what: str) -> None:
    with pytest.raises(InputRefused, match=what):
        shapes_of(f'type: "Accuracy" {layer}', x=SCORES.shape, t=LABELS.shape)
