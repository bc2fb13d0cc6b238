"""Other forms of the layers, and merged branches, against the layers' own forms."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import conv2d, linear

from tests.net.test_torch_module import net
from trtdream.net import zoo
from trtdream.net.forms import Forms
from trtdream.net.kind import Phase
from trtdream.net.maths.convolution import conv2d_by_group, conv2d_with_narrow_gradient
from trtdream.net.maths.depth import conv2d_by_depth, conv2d_with_gradient_by_depth
from trtdream.net.maths.inner_product import linear_weight_first
from trtdream.net.torch_module import TorchNet

ROUNDINGS = 1e-5  # relative: the same products, summed in another order
DATA = 'name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 6, 9, 7] } }'
MODULE_3A = ["inception_3a/1x1", "inception_3a/3x3_reduce", "inception_3a/5x5_reduce"]


def conv(name: str, outputs: int, more: str = "", params: str = "") -> str:
    return f"""name: "{name}" type: "Convolution" bottom: "data" top: "{name}" {params} convolution_param {{
        num_output: {outputs} {more or "kernel_size: 1"} weight_filler {{ type: "xavier" }}
        bias_filler {{ type: "gaussian" std: 0.1 }} }}"""


def relu(name: str, slope: float = 0) -> str:
    return f'name: "relu_{name}" type: "ReLU" bottom: "{name}" top: "{name}" relu_param {{ negative_slope: {slope} }}'


def concat(*names: str) -> str:
    return f'name: "out" type: "Concat" {" ".join(f"""bottom: "{name}" """ for name in names)} top: "out"'


def module(*layers: str) -> TorchNet:
    made = TorchNet(net(DATA, *layers), generator=torch.Generator().manual_seed(0))
    made.forms = Forms()
    return made


def convolutions_run(run: TorchNet, wanted: Sequence[str]) -> int:
    """How many torch really computes, as its profiler sees them."""
    with torch.no_grad(), torch.profiler.profile() as profile:
        run(torch.zeros(2, 6, 9, 7), wanted)
    return sum(event.count for event in profile.key_averages() if event.key == "aten::conv2d")


def compare(run: TorchNet, forms: Forms, wanted: Sequence[str], x: torch.Tensor) -> None:
    """Values, the gradient of the input and those of all weights."""
    found = []
    for form in (Forms(), forms):
        run.forms = form
        run.zero_grad()
        leaf = x.clone().requires_grad_()
        values = run(leaf, wanted)
        sum((value**2).sum() for value in values.values()).backward()
        weights = [p.grad.clone() for p in run.parameters() if p.grad is not None]
        found.append([*(value.detach().clone() for value in values.values()), leaf.grad, *weights])
    assert len(found[0]) == len(found[1])
    for plain, other in zip(*found, strict=True):
        assert torch.linalg.vector_norm(other - plain) <= ROUNDINGS * torch.linalg.vector_norm(plain)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 6, 9, 7, generator=torch.Generator().manual_seed(1))


THREE = (conv("a", 3), relu("a"), conv("b", 1), relu("b"), conv("c", 5), relu("c"))


@pytest.mark.parametrize(
    "wanted",
    [["out"], ["a", "b", "c"], ["out", "b@b"], ["a@a", "b@b", "c@c"], ["out", "a"], ["c"]],
)
def test_merged_branches(x: torch.Tensor, wanted: list[str]) -> None:
    """Whatever is asked for, values before the ReLU among them."""
    compare(module(*THREE, concat("a", "b", "c")), Forms(merge_branches=True), wanted, x)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (THREE, 1),
        ((conv("a", 3), conv("b", 1), conv("c", 2)), 1),
        ((conv("a", 3), relu("a"), conv("b", 1), conv("c", 2), relu("c", 0.1)), 1),
        ((conv("a", 3, "kernel_size: 3 pad: 1"), conv("b", 1, "kernel_size: 3 pad: 1"), conv("c", 2)), 2),
        ((conv("a", 3, "kernel_size: 3 pad: 1"), conv("b", 1), conv("c", 2, "kernel_size: 5 pad: 2")), 3),
        ((conv("a", 2), conv("b", 2, "kernel_size: 1 group: 2"), conv("c", 4, "kernel_size: 1 group: 2")), 3),
        ((conv("a", 2), conv("b", 2, "kernel_size: 1 bias_term: false"), conv("c", 2)), 2),
        (
            (
                conv("a", 2).replace('bottom: "data"', 'bottom: "data" propagate_down: false'),
                conv("b", 2),
                conv("c", 2),
            ),
            2,
        ),
    ],
)
def test_only_convolutions_of_one_geometry_are_merged(x: torch.Tensor, layers: tuple[str, ...], expected: int) -> None:
    run = module(*layers, concat("a", "b", "c"))
    compare(run, Forms(merge_branches=True), ["out"], x)
    assert convolutions_run(run, ["out"]) == expected
    run.forms = Forms()
    assert convolutions_run(run, ["out"]) == 3


def test_merging_leaves_frozen_branches_alone(x: torch.Tensor) -> None:
    """lr_mult: 0 in one branch: no gradient there, the others' as ever."""
    frozen = conv("b", 1, params="param { lr_mult: 0 } param { lr_mult: 0 }")
    run = module(conv("a", 3), frozen, concat("a", "b"))
    compare(run, Forms(merge_branches=True), ["out"], x)
    assert run.weight(("b", 0)).grad is None and run.weight(("a", 0)).grad is not None


def test_frozen_weights_are_put_together_once_and_anew_when_they_change(x: torch.Tensor) -> None:
    run = module(*THREE, concat("a", "b", "c")).requires_grad_(False)
    run.forms = Forms(merge_branches=True)
    with torch.inference_mode():
        before = run(x, ["out"])["out"].clone()
    with torch.profiler.profile() as profile:
        run(x, ["a", "b", "c"])
    assert not any(event.key == "aten::cat" for event in profile.key_averages())
    leaf = x.clone().requires_grad_()
    run(leaf, ["out"])["out"].sum().backward()  # what inference mode put together is fit for gradients
    run.load({name: [w * 2 for w in arrays] for name, arrays in run.arrays().items()}, "doubled")
    torch.testing.assert_close(run(x, ["out"])["out"], 2 * before)


def test_layers_are_told_apart_where_someone_looks(x: torch.Tensor) -> None:
    run = module(*THREE, concat("a", "b", "c"))
    run.forms = Forms(merge_branches=True)
    seen: list[str] = []
    run(x, ["out"], lambda step, _: seen.append(step.layer.name))
    assert seen == ["a", "relu_a", "b", "relu_b", "c", "relu_c", "out"]


def test_googlenets_branches() -> None:
    run = TorchNet(zoo.build("googlenet"), inputs={"data": (1, 3, 64, 64)}, until=["inception_3b/output"])
    run.forms = Forms()
    picture = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    wanted = ["inception_3b/output", f"{MODULE_3A[1]}@{MODULE_3A[1]}", MODULE_3A[0]]
    compare(run, Forms(merge_branches=True, space_to_depth=True), wanted, picture)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        ((227, 227), (11, 11), (4, 4), (0, 0)),
        ((56, 56), (7, 7), (2, 2), (3, 3)),
        ((23, 17), (3, 5), (2, 3), (1, 0)),
        ((23, 17), (2, 2), (4, 3), (0, 1)),
        ((24, 24), (4, 4), (4, 4), (0, 0)),
    ],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("form", [conv2d_by_depth, conv2d_with_gradient_by_depth])
def test_by_depth(
    form: Callable[..., torch.Tensor],
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    layout: torch.memory_format,
) -> None:
    generator = torch.Generator().manual_seed(0)
    leaves = [
        torch.randn(2, 3, *size, generator=generator, dtype=torch.float64).contiguous(memory_format=layout),
        torch.randn(4, 3, *kernel, generator=generator, dtype=torch.float64).contiguous(memory_format=layout),
        torch.randn(4, generator=generator, dtype=torch.float64),
    ]
    _same_with_gradients(
        leaves,
        lambda x, w, b: form(x, w, b, stride, padding),
        lambda x, w, b: conv2d(x, w, b, stride, padding),
    )


@pytest.mark.parametrize(("rows", "inputs"), [(3, 8), (3, 7), (1, 8)])
@pytest.mark.parametrize("bias", [True, False])
def test_weight_first(rows: int, inputs: int, bias: bool) -> None:
    """A ReLU in place stands behind it, as in most networks."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(rows, inputs), (5, inputs), *[(5,)] * bias]
    leaves = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]
    _same_with_gradients(
        leaves,
        lambda x, w, b=None: linear_weight_first(x, w, b).relu_(),
        lambda x, w, b=None: linear(x, w, b).relu_(),
    )


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_a_group(bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 6, 9, 7), (8, 3, 3, 3), *[(8,)] * bias]
    leaves = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]
    _same_with_gradients(
        leaves,
        lambda x, w, b=None: conv2d_by_group(x, w, b, (2, 1), (1, 1), (1, 1), 2),
        lambda x, w, b=None: conv2d(x, w, b, (2, 1), (1, 1), (1, 1), 2),
    )


NARROW = [
    ((9, 7), 3, (1, 1), (1, 1), (1, 1), 1),
    ((23, 18), 7, (2, 2), (3, 3), (1, 1), 1),  # windows that reach no last column, or no last row
    ((22, 17), 5, (4, 3), (0, 1), (1, 1), 2),
    ((12, 13), 3, (2, 1), (0, 2), (2, 3), 1),
]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "dilation", "groups"), NARROW)
@pytest.mark.parametrize(
    ("narrow", "off"), [(torch.float64, 1e-12), (torch.float16, 2e-3), (torch.bfloat16, 1e-2)], ids=str
)
def test_a_gradient_in_another_type(size, kernel, stride, padding, dilation, groups, narrow, off) -> None:  # type: ignore[no-untyped-def]
    """The values are those of the own type to the bit."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(8, 6 // groups, kernel, kernel, generator=generator, dtype=torch.float64)
    geometry = stride, padding, dilation, groups
    found = []
    for form in (
        lambda leaf: conv2d(leaf, weight, None, *geometry),
        lambda leaf: conv2d_with_narrow_gradient(leaf, weight, None, weight.to(narrow), *geometry),
    ):
        leaf = x.clone().requires_grad_()
        value = form(leaf)
        (gradient,) = torch.autograd.grad(value.square().sum(), leaf)
        found.append((value.detach(), gradient))
    (value, wanted), (other, gradient) = found
    assert torch.equal(value, other) and gradient.dtype is torch.float64
    assert torch.linalg.vector_norm(gradient - wanted) <= off * torch.linalg.vector_norm(wanted)


def test_gradients_in_halves_through_a_network(x: torch.Tensor) -> None:
    """Merged branches too; weights that learn keep their gradients, and so all of it stays float32."""
    run = module(*THREE, concat("a", "b", "c"))
    compare(run, Forms(merge_branches=True, gradients="bfloat16"), ["out"], x)
    run.requires_grad_(False)
    found = []
    for forms in (Forms(), Forms(gradients="bfloat16"), Forms(merge_branches=True, gradients="bfloat16")):
        run.forms = forms
        leaf = x.clone().requires_grad_()
        value = run(leaf, ["out"])["out"]
        (gradient,) = torch.autograd.grad(value.square().sum(), leaf)
        found.append((value.detach(), gradient))
    (value, wanted), *others = found
    for other, gradient in others:
        torch.testing.assert_close(other, value)
        assert 0 < torch.linalg.vector_norm(gradient - wanted) < 1e-2 * torch.linalg.vector_norm(wanted)


def _same_with_gradients(leaves: list[torch.Tensor], form, own) -> None:  # type: ignore[no-untyped-def]
    found = []
    for function in (form, own):
        inputs = [leaf.clone().requires_grad_() for leaf in leaves]
        value = function(*inputs)
        value.square().sum().backward()
        found.append([value.detach(), *(leaf.grad for leaf in inputs)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.TEST])
def test_inner_products_of_a_whole_net(phase: Phase) -> None:
    """CaffeNet's last layers, on maps of 3 x 3; the first product's bottom is four-dimensional."""
    shapes = {"data": (2, 3, 131, 131), "label": (2,)}
    run = TorchNet(zoo.build("caffenet", deploy=False), phase, shapes, until=["fc6"])
    pooled = torch.randn(2, 256, 3, 3, generator=torch.Generator().manual_seed(2))
    run.forms = Forms()
    own = run({"pool5": pooled}, ["fc6@fc6"])["fc6@fc6"]
    run.forms = Forms(weight_first=True)
    torch.testing.assert_close(run({"pool5": pooled}, ["fc6@fc6"])["fc6@fc6"], own, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.TEST])
def test_forms_of_a_whole_net(phase: Phase) -> None:
    """CaffeNet's first layers, with its conv1 by depth and its conv2 by group."""
    shapes = {"data": (2, 3, 67, 67), "label": (2,)}
    run = TorchNet(zoo.build("caffenet", deploy=False), phase, shapes, until=["conv3"])
    forms = Forms(space_to_depth=True, split_groups=True)
    picture = torch.randn(2, 3, 67, 67, generator=torch.Generator().manual_seed(2))
    compare(run, forms, ["conv3", "conv2"], picture)
    compare(run, Forms(gradient_by_depth=True), ["conv3"], picture)
    assert forms.names() == ["space_to_depth", "split_groups"] and not Forms().names()
    assert replace(forms, space_to_depth=False) != forms
