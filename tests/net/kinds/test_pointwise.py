"""AbsVal, Power, Exp and Log against their formulae."""

import numpy as np
import pytest

from tests.net.kinds.single import single
from trtdream.errors import InputRefused

X = np.array([[0.3, 0.7, 1.5, 2.0]])


@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        ('type: "Power"', lambda x: x),
        ('type: "Power" power_param { power: 2 scale: 0.5 shift: -1 }', lambda x: (0.5 * x - 1) ** 2),
        ('type: "Power" power_param { power: -0.75 shift: 1 }', lambda x: (1 + x) ** -0.75),
        ('type: "Power" power_param { scale: 0.00390625 }', lambda x: x / 256),
        ('type: "Exp"', np.exp),
        ('type: "Exp" exp_param { base: 2 scale: 3 shift: -1 }', lambda x: 2.0 ** (3 * x - 1)),
        ('type: "Exp" exp_param { shift: 0.5 }', lambda x: np.exp(x + 0.5)),
        ('type: "Log"', np.log),
        ('type: "Log" log_param { base: 10 scale: 2 shift: 1 }', lambda x: np.log10(2 * x + 1)),
    ],
)
def test_formula_and_gradient(layer: str, formula) -> None:
    run = single(f'{layer} bottom: "x" top: "y"', x=X)
    np.testing.assert_allclose(run.top, formula(X), rtol=1e-12)
    run.check_gradients("x")


def test_absval() -> None:
    run = single('type: "AbsVal" bottom: "x" top: "y"', x=[[-2.0, 0.0, 3.0]])
    assert run.top.tolist() == [[2, 0, 3]]
    assert run.gradient("x").tolist() == [[-1, 0, 1]]  # Caffe's sign of 0 is 0


@pytest.mark.parametrize(
    ("param", "value"), [("power: 0", 1.0), ("power: 0 scale: 0", 1.0), ("power: 3 scale: 0 shift: 2", 8.0)]
)
def test_power_of_nothing_is_constant(param: str, value: float) -> None:
    run = single(f'type: "Power" bottom: "x" top: "y" power_param {{ {param} }}', x=[[0.0, -1.0, 5.0]])
    assert run.top.tolist() == [[value] * 3]
    assert run.gradient("x").tolist() == [[0.0] * 3]


@pytest.mark.parametrize("base", ["0", "-2", "-0.5"])
@pytest.mark.parametrize("kind", ["Exp", "Log"])
def test_base_must_be_positive(kind: str, base: str) -> None:
    with pytest.raises(InputRefused, match=r"layer 'layer' .*base .* must be positive"):
        single(f'type: "{kind}" bottom: "x" top: "y" {kind.lower()}_param {{ base: {base} }}', x=X)


def test_no_logarithm_to_base_one() -> None:
    with pytest.raises(InputRefused, match="base 1"):
        single('type: "Log" bottom: "x" top: "y" log_param { base: 1 }', x=X)
