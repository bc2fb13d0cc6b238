"""The torch module: any set of values, memory, precisions, weights."""

import copy
import gc
import weakref

import pytest
import torch

from trtdream.caffe.prototxt import net_from_text
from trtdream.errors import InputRefused, UsageError
from trtdream.net.kind import Phase
from trtdream.net.kinds.activation import Sigmoid
from trtdream.net.net import Net
from trtdream.net.torch_module import TorchNet

DATA = 'name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3, 8, 8] } }'
CONV = """name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
    num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.5 } bias_filler { value: -0.1 } }"""
RELU = 'name: "relu" type: "ReLU" bottom: "conv" top: "conv"'
POOL = 'name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 }'
FC = """name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param {
    num_output: 5 weight_filler { type: "gaussian" std: 0.1 } }"""
PROB = 'name: "prob" type: "Softmax" bottom: "fc" top: "prob"'
SMALL = (DATA, CONV, RELU, POOL, FC, PROB)


def net(*layers: str) -> Net:
    return net_from_text("\n".join(f"layer {{ {layer} }}" for layer in layers), "net.prototxt")


def module(*layers: str, phase: Phase = Phase.TEST, seed: int = 0) -> TorchNet:
    return TorchNet(net(*layers), phase, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def by_hand(run: TorchNet, x: torch.Tensor) -> dict[str, torch.Tensor]:
    functional = torch.nn.functional
    weight, bias = (run.weight(("conv", i)) for i in range(2))
    conv = functional.conv2d(x, weight, bias, padding=1)
    pool = functional.max_pool2d(conv.relu(), 2)
    fc = functional.linear(pool.flatten(1), run.weight(("fc", 0)), run.weight(("fc", 1)))
    return {"data": x, "conv@conv": conv, "conv": conv.relu(), "pool": pool, "fc": fc, "prob": fc.softmax(1)}


@pytest.mark.parametrize(
    "wanted",
    [
        ["prob"],
        ["conv"],
        ["conv@conv"],
        ["conv@conv", "conv"],
        ["conv", "conv@conv"],
        ["fc", "conv@conv"],
        ["data"],
        ["pool", "prob", "data"],
        ["conv@conv", "conv", "pool", "fc", "prob", "data"],
    ],
)
def test_any_set_of_values(x: torch.Tensor, wanted: list[str]) -> None:
    run = module(*SMALL)
    told = by_hand(run, x)
    given = x.clone()
    for _ in range(2):  # whatever was overwritten the first time would show the second
        found = run(given, wanted)
        assert list(found) == wanted
        for name in wanted:
            torch.testing.assert_close(found[name], told[name])
    torch.testing.assert_close(given, x, rtol=0, atol=0)
    assert list(run(x)) == ["prob"]


@pytest.mark.parametrize("wanted", [["prob"], ["conv@conv", "prob"], ["conv", "fc"]])
def test_gradients_through_overwritten_memory(x: torch.Tensor, wanted: list[str]) -> None:
    run = module(*SMALL)
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    sum((value**2).sum() for value in run(ours, wanted).values()).backward()
    gradients = [p.grad.clone() for p in run.parameters() if p.grad is not None]
    run.zero_grad()
    told = by_hand(run, theirs)
    sum((told[name] ** 2).sum() for name in wanted).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    for gradient, parameter in zip(gradients, (p for p in run.parameters() if p.grad is not None), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


VIEWS = [
    'name: "view" type: "Flatten" bottom: "conv" top: "view"',
    'name: "view" type: "Reshape" bottom: "conv" top: "view" reshape_param { shape { dim: [0, -1] } }',
    'name: "view" type: "Crop" bottom: "conv" bottom: "data" top: "view"',
    'name: "view" type: "Slice" bottom: "conv" top: "view" top: "rest"',
    'name: "view" type: "Split" bottom: "conv" top: "view"',
    'name: "view" type: "Dropout" bottom: "conv" top: "view"',
    'name: "view" type: "LRN" bottom: "conv" top: "view" lrn_param { alpha: 1 }',
]


@pytest.mark.parametrize("other", VIEWS)
@pytest.mark.parametrize("slope", [0, 0.1])
def test_a_second_reader_never_sees_the_relus_memory(x: torch.Tensor, other: str, slope: float) -> None:
    """The ReLU is the last reader of conv, but the other layer's top may be a view of it, or its gradient need it."""
    relu = f'name: "relu" type: "ReLU" bottom: "conv" top: "act" relu_param {{ negative_slope: {slope} }}'
    late = 'name: "late" type: "Power" bottom: "view" top: "late"'
    run = module(DATA, CONV, other, relu, late)
    alone = run(x, ["view"])["view"].detach().clone()
    assert alone.min() < 0
    torch.testing.assert_close(run(x, ["act", "late"])["late"], alone)
    leaf = x.clone().requires_grad_()
    values = run(leaf, ["act", "late"])
    (values["act"].sum() + values["late"].sum()).backward()
    parts = []
    for name in ("act", "late"):
        leaf_alone = x.clone().requires_grad_()
        run(leaf_alone, [name])[name].sum().backward()
        parts.append(leaf_alone.grad)
    torch.testing.assert_close(leaf.grad, parts[0] + parts[1])


def test_a_negative_slope_keeps_its_gradient(x: torch.Tensor) -> None:
    run = module(DATA, CONV, RELU + " relu_param { negative_slope: -1 }")
    leaf = x.clone().requires_grad_()
    values = run(leaf, ["conv"])
    torch.testing.assert_close(values["conv"], run(x, ["conv@conv"])["conv@conv"].abs())
    values["conv"].sum().backward()
    assert leaf.grad is not None


def test_other_values_given(x: torch.Tensor) -> None:
    """They are read, not computed, and never overwritten."""
    run = module(*SMALL)
    conv = by_hand(run, x)["conv@conv"].detach()
    kept = conv.clone()
    torch.testing.assert_close(run({"conv@conv": conv}, ["prob"])["prob"], run(x)["prob"])
    torch.testing.assert_close(conv, kept, rtol=0, atol=0)
    pool = torch.ones(2, 4, 4, 4)
    torch.testing.assert_close(run({"data": x, "pool": pool}, ["fc"])["fc"], run({"pool": pool}, ["fc"])["fc"])


def test_only_the_inputs_that_are_needed(x: torch.Tensor) -> None:
    """A train_val file's features need no label."""
    two = """name: "data" type: "Data" top: "data" top: "label" data_param { batch_size: 2 }
        transform_param { crop_size: 8 }"""
    run = module(
        two, CONV, RELU, POOL, FC, 'name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "l"'
    )
    assert run(x, ["fc"])["fc"].shape == (2, 5)
    with pytest.raises(InputRefused, match=r"^net: input label is not given$"):
        run(x, ["l"])
    with pytest.raises(InputRefused, match="input data is not given"):
        run({}, ["conv"])


def test_values_that_do_not_exist(x: torch.Tensor) -> None:
    run = module(*SMALL)
    with pytest.raises(UsageError, match="'cnv'; did you mean conv"):
        run(x, ["cnv"])
    short = TorchNet(net(*SMALL), until=["conv"])
    assert list(short.state_dict()) == ["conv.0", "conv.1"]
    assert short(x, ["conv"])["conv"].shape == (2, 4, 8, 8)
    with pytest.raises(UsageError, match="prob needs pool, which this module was built without"):
        short(x)


def test_values_are_freed(monkeypatch: pytest.MonkeyPatch, x: torch.Tensor) -> None:
    alive: list[weakref.ref] = []
    most = 0
    apply = Sigmoid.apply

    def counting(kind: Sigmoid, value: torch.Tensor) -> torch.Tensor:
        nonlocal most
        top = apply(kind, value)
        alive.append(weakref.ref(top))
        most = max(most, sum(ref() is not None for ref in alive))
        return top

    monkeypatch.setattr(Sigmoid, "apply", counting)
    chain = [f'name: "{i}" type: "Sigmoid" bottom: "{i - 1 if i else "data"}" top: "{i}"' for i in range(20)]
    with torch.no_grad():
        module(DATA, *chain)(x)
    assert len(alive) == 20
    assert most == 2


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.06), (torch.float16, 0.01), (torch.float64, 1e-5)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_precisions_and_layouts(x: torch.Tensor, dtype: torch.dtype, tolerance: float, layout) -> None:
    more = (
        'name: "n" type: "LRN" bottom: "data" top: "n"',
        'name: "b" type: "BatchNorm" bottom: "n" top: "b" batch_norm_param { use_global_stats: false }',
        'name: "s" type: "Scale" bottom: "b" top: "b" scale_param { bias_term: true }',
        'name: "p" type: "PReLU" bottom: "b" top: "b"',
        CONV.replace('bottom: "data"', 'bottom: "b"'),
        *SMALL[2:],
        'name: "a" type: "Pooling" bottom: "conv" top: "a" pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }',
        'name: "m" type: "MVN" bottom: "a" top: "m"',
        'name: "w" type: "BNLL" bottom: "m" top: "w"',
    )
    wanted = ["n", "b", "conv", "prob", "w"]
    told = module(DATA, *more)(x, wanted)
    run = module(DATA, *more).to(dtype).to(memory_format=layout)
    leaf = x.to(dtype).contiguous(memory_format=layout).requires_grad_()
    found = run(leaf, wanted)
    for name in wanted:
        assert found[name].dtype == dtype
        difference = (found[name].double() - told[name].double()).norm() / told[name].double().norm()
        assert difference < tolerance, name
    sum(found[name].double().sum() for name in wanted).backward()
    assert torch.isfinite(leaf.grad).all()


def test_losses_of_halves_are_summed_in_float32(x: torch.Tensor) -> None:
    layers = (*SMALL[:5], 'name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "l"')
    label = 'name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } }'
    run = module(label, *layers).half()
    loss = run({"data": x.half(), "label": torch.tensor([1, 4])}, ["l"])["l"]
    assert loss.dtype == torch.float32


@pytest.mark.parametrize("size", [(1, 3, 5, 9), (3, 3, 16, 7)])
def test_other_sizes(size: tuple[int, ...]) -> None:
    """What is convolutional takes any size, whatever the net was built for; weights of others can be built for it."""
    run = module(*SMALL)
    _, _, height, width = size
    assert run(torch.zeros(size), ["pool"])["pool"].shape == (size[0], 4, -(-height // 2), -(-width // 2))
    built = TorchNet(net(*SMALL), inputs={"data": size})
    assert built(torch.zeros(size))["prob"].shape == (size[0], 5)


NAMES = [
    "conv1.weight",
    "50%.off%2E",
    "a/b c",
    "loss",
    "forward",
    "graph",
    "training",
    "type",
    "weight",
    "phase",
    "parameters",
]


def test_any_layer_name(x: torch.Tensor) -> None:
    layers = [CONV.replace('"conv"', f'"{name}"') for name in NAMES]
    run = module(DATA, *layers)
    assert list(run.state_dict())[:6] == [
        *("conv1%2Eweight.0", "conv1%2Eweight.1", "50%25%2Eoff%252E.0", "50%25%2Eoff%252E.1", "a/b c.0", "a/b c.1")
    ]
    assert list(run.arrays()) == NAMES
    assert len(list(run.parameters())) == 2 * len(NAMES)
    assert list(run(x, NAMES)) == NAMES
    other = module(DATA, *layers, seed=5)
    other.load_state_dict(run.state_dict())
    torch.testing.assert_close(other(x, ["graph"]), run(x, ["graph"]))


def test_a_copy_is_independent(x: torch.Tensor) -> None:
    run = module(*SMALL)
    before = run(x)["prob"].detach()
    twin, arrays = copy.deepcopy(run), run.arrays()
    with torch.no_grad():
        for parameter in run.parameters():
            parameter.zero_()
    torch.testing.assert_close(twin(x)["prob"], before)
    assert arrays["conv"][0].any()


def test_memory_goes_with_the_module(x: torch.Tensor) -> None:
    """At once, with no help of the garbage collector: weights are large."""
    run = module(*SMALL)
    run(x)
    twin = copy.deepcopy(run)
    gone = weakref.ref(run.weight(("fc", 0)))
    gc.disable()
    try:
        del run
        assert gone() is None
    finally:
        gc.enable()
    assert twin(x)["prob"].shape == (2, 5)


def test_phases() -> None:
    """A layer's own phase wins over the net's, as in Caffe."""
    drop = 'name: "drop" type: "Dropout" bottom: "data" top: "drop"'
    ones = torch.ones(2, 3, 8, 8)
    assert torch.equal(module(DATA, drop)(ones)["drop"], ones)
    assert not torch.equal(module(DATA, drop, phase=Phase.TRAIN)(ones)["drop"], ones)
    assert torch.equal(module(DATA, drop + " phase: TEST", phase=Phase.TRAIN)(ones)["drop"], ones)


def test_propagate_down(x: torch.Tensor) -> None:
    both = 'name: "e" type: "Eltwise" bottom: "data" bottom: "p" top: "e"'
    power = 'name: "p" type: "Power" bottom: "data" top: "p" power_param { scale: 3 }'
    for text, wanted in (
        ("", 4),
        (" propagate_down: true propagate_down: false", 1),
        (" propagate_down: [false, true]", 3),
    ):
        leaf = x.clone().requires_grad_()
        module(DATA, power, both + text)(leaf)["e"].sum().backward()
        torch.testing.assert_close(leaf.grad, torch.full_like(x, wanted))


def test_what_is_learned() -> None:
    run = module(DATA, CONV + " param { } param { lr_mult: 0 }", 'name: "b" type: "BatchNorm" bottom: "conv" top: "b"')
    assert [p.requires_grad for p in run.parameters()] == [True, False, False, False, False]


def test_loss_weights(x: torch.Tensor) -> None:
    run = module(
        DATA,
        'name: "a" type: "Power" bottom: "data" top: "a" loss_weight: 0.5',
        'name: "b" type: "EuclideanLoss" bottom: "a" bottom: "data" top: "b"',
        'name: "c" type: "EuclideanLoss" bottom: "a" bottom: "data" top: "c" loss_weight: 0',
    )
    assert run.loss_weights() == {"a": 0.5, "b": 1.0}
    values = run(x, ["a", "b"])
    torch.testing.assert_close(run.loss(values), 0.5 * x.sum())
