"""Deconvolution against its definition, and what a convolution's parameters may be."""

import numpy as np
import pytest

from tests.net.kinds.single import numbers, shapes_of, single
from trtdream.errors import InputRefused


def deconvolve(x, weight, bias, stride, pad, dilation, group):
    """Each input number adds its multiple of the kernel to the output, which loses the padding at its edges."""
    (n, channels, height, width), (_, each, kernel_h, kernel_w) = x.shape, weight.shape
    size_h = stride[0] * (height - 1) + dilation[0] * (kernel_h - 1) + 1
    size_w = stride[1] * (width - 1) + dilation[1] * (kernel_w - 1) + 1
    y = np.zeros((n, each * group, size_h, size_w))
    for c, i, j, u, v in np.ndindex(channels, height, width, kernel_h, kernel_w):
        outputs = slice(c // (channels // group) * each, (c // (channels // group) + 1) * each)
        at = y[:, outputs, i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1]]
        at += x[:, c, i, j, None] * weight[None, c, :, u, v]
    return y[:, :, pad[0] : size_h - pad[0], pad[1] : size_w - pad[1]] + bias[:, None, None]


@pytest.mark.parametrize(
    ("param", "kernel", "stride", "pad", "dilation", "group"),
    [
        ("kernel_size: 3", (3, 3), (1, 1), (0, 0), (1, 1), 1),
        ("kernel_size: 4 stride: 2 pad: 1", (4, 4), (2, 2), (1, 1), (1, 1), 1),
        ("kernel_size: 2 stride: 3 group: 2", (2, 2), (3, 3), (0, 0), (1, 1), 2),
        ("kernel_size: 3 dilation: 2 pad: 2", (3, 3), (1, 1), (2, 2), (2, 2), 1),
        ("kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1 pad_w: 1", (2, 3), (2, 1), (0, 1), (1, 1), 1),
    ],
)
def test_deconvolution(param: str, kernel, stride, pad, dilation, group: int) -> None:
    x, weight, bias = numbers(2, 4, 3, 3), numbers(4, 6 // group, *kernel, seed=1), numbers(6, seed=2)
    run = single(
        f'type: "Deconvolution" bottom: "x" top: "y" convolution_param {{ num_output: 6 {param} }}', [weight, bias], x=x
    )
    wanted = deconvolve(x, weight, bias, stride, pad, dilation, group)
    np.testing.assert_allclose(run.top, wanted, rtol=1e-10, atol=1e-12)
    assert shapes_of(
        f'type: "Deconvolution" bottom: "x" top: "y" convolution_param {{ num_output: 6 {param} }}', x=x.shape
    ).tops == (wanted.shape,)
    run.check_gradients("x")


def test_bilinear_deconvolution_enlarges_a_ramp() -> None:
    """The usual upsampling of an FCN: twice as large, and linear again inside."""
    run = single(
        """type: "Deconvolution" bottom: "x" top: "y" convolution_param {
        num_output: 2 group: 2 kernel_size: 4 stride: 2 pad: 1 bias_term: false weight_filler { type: "bilinear" } }""",
        x=np.broadcast_to(np.arange(5.0), (1, 2, 5, 5)),
    )
    assert run.top.shape == (1, 2, 10, 10)
    inside = run.top[0, :, 2:-2, 1:-1]
    np.testing.assert_allclose(inside, np.broadcast_to(np.arange(0.25, 4, 0.5), inside.shape), rtol=1e-6)


def test_several_bottoms_share_the_filters() -> None:
    x, z, weight = numbers(1, 2, 4, 4), numbers(1, 2, 4, 4, seed=1), numbers(3, 2, 3, 3, seed=2)
    layer = """type: "Convolution" bottom: "x" bottom: "z" top: "y" top: "w"
    convolution_param { num_output: 3 kernel_size: 3 bias_term: false }"""
    run = single(layer, [weight], x=x, z=z)
    wanted = np.einsum("ncijuv,ocuv->noij", np.lib.stride_tricks.sliding_window_view(z, (3, 3), (2, 3)), weight)
    np.testing.assert_allclose(run.tops["w"], wanted, rtol=1e-10)
    assert shapes_of(layer, x=x.shape, z=z.shape).macs == 2 * (3 * 2 * 2) * (2 * 3 * 3)


@pytest.mark.parametrize(
    ("param", "sides"),
    [
        ("kernel_size: 3", (8, 7)),
        ("kernel_size: 3 kernel_size: 2", (8, 8)),
        ("kernel_size: [3, 2] stride: [2, 1] pad: [0, 1]", (4, 10)),
        ("kernel_size: 3 dilation: 2", (6, 5)),
        ("kernel_h: 1 kernel_w: 9 pad_h: 1", (12, 1)),
        ("kernel_size: 3 axis: -3 force_nd_im2col: true engine: CAFFE", (8, 7)),
    ],
)
def test_sizes(param: str, sides: tuple[int, int]) -> None:
    layer = f'type: "Convolution" bottom: "x" top: "y" convolution_param {{ num_output: 4 {param} }}'
    assert shapes_of(layer, x=(2, 3, 10, 9)).tops == ((2, 4, *sides),)


@pytest.mark.parametrize(
    ("param", "what"),
    [
        ("kernel_size: 3", "num_output must be"),
        ("num_output: 4", "kernel_size .* must be"),
        ("num_output: 4 kernel_h: 3", "kernel_size .* must be"),
        ("num_output: 4 kernel_size: 3 kernel_h: 3 kernel_w: 3", "stands beside its _h and _w"),
        ("num_output: 4 kernel_size: 3 stride: 0", "stride and dilation"),
        ("num_output: 4 kernel_size: 3 stride_h: 2", "stride and dilation"),
        ("num_output: 4 kernel_size: [3, 3, 3]", "3 values"),
        ("num_output: 4 kernel_size: 3 pad: 1 pad_w: 0", "pad stands beside its _h and _w"),
        ("num_output: 4 kernel_size: 3 group: 3", "num_output 4 is not divisible"),
        ("num_output: 4 kernel_size: 3 group: 0", "not divisible by group 0"),
        ("num_output: 4 kernel_size: 3 group: 2", "3 channels are not divisible"),
        ("num_output: 4 kernel_size: 11", "less than the kernel's 11"),
        ("num_output: 4 kernel_size: 3 axis: 2", "axis 2 is not supported"),
    ],
)
def test_refused(param: str, what: str) -> None:
    with pytest.raises(InputRefused, match=f"layer 'layer' .*{what}"):
        shapes_of(f'type: "Convolution" bottom: "x" top: "y" convolution_param {{ {param} }}', x=(2, 3, 10, 9))


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
def test_shapes_refused(kind: str) -> None:
    param = "convolution_param { num_output: 2 kernel_size: 1 }"
    with pytest.raises(InputRefused, match="N x C x H x W"):
        shapes_of(f'type: "{kind}" bottom: "x" top: "y" {param}', x=(2, 3))
    with pytest.raises(InputRefused, match="2 bottoms need as many tops, not 1"):
        shapes_of(f'type: "{kind}" bottom: "x" bottom: "z" top: "y" {param}', x=(1, 2, 3, 3), z=(1, 2, 3, 3))
    with pytest.raises(InputRefused, match="differ in shape"):
        shapes_of(f'type: "{kind}" bottom: "x" bottom: "z" top: "y" top: "w" {param}', x=(1, 2, 3, 3), z=(1, 3, 3, 3))


def test_nothing_left_of_a_deconvolution() -> None:
    with pytest.raises(InputRefused, match="nothing is left"):
        shapes_of(
            'type: "Deconvolution" bottom: "x" top: "y" convolution_param { num_output: 2 kernel_size: 2 pad: 2 }',
            x=(1, 3, 3, 3),
        )
