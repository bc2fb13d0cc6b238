"""InnerProduct: axis, transpose and bias."""

from math import prod

import numpy as np
import pytest

from tests.net.kinds.single import numbers, shapes_of, single
from trtdream.errors import InputRefused

X = numbers(2, 3, 4, 5)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize(("axis", "start"), [("", 1), ("axis: 0", 0), ("axis: 2", 2), ("axis: -1", 3)])
def test_inner_product(axis: str, start: int, transpose: bool) -> None:
    weight, bias = numbers(6, prod(X.shape[start:]), seed=1), numbers(6, seed=2)
    run = single(
        f"""type: "InnerProduct" bottom: "x" top: "y"
        inner_product_param {{ num_output: 6 {axis} transpose: {str(transpose).lower()} }}""",
        [weight.T if transpose else weight, bias],
        x=X,
    )
    wanted = X.reshape(*X.shape[:start], -1) @ weight.T + bias
    np.testing.assert_allclose(run.top, wanted, rtol=1e-10)
    assert run.top.shape == (*X.shape[:start], 6)
    if start > 1:
        run.check_gradients("x")


def test_without_bias() -> None:
    layer = 'type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 6 bias_term: false }'
    shapes = shapes_of(layer, x=X.shape)
    assert [weight.shape for weight in shapes.weights] == [(6, 60)]
    assert shapes.macs == 2 * 60 * 6
    single(layer, [numbers(6, 60)], x=X).check_gradients("x")


def test_weights_without_fillers_are_zero() -> None:
    run = single('type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 }', x=X)
    assert not run.top.any()


@pytest.mark.parametrize(("param", "what"), [("", "num_output must be"), ("num_output: 2 axis: 4", "axis 4")])
def test_refused(param: str, what: str) -> None:
    with pytest.raises(InputRefused, match=what):
        shapes_of(f'type: "InnerProduct" bottom: "x" top: "y" inner_product_param {{ {param} }}', x=X.shape)
