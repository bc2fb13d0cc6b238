"""Local response normalisation in torch."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import avg_pool2d, conv2d, local_response_norm

from trtdream.net.maths.lrn_in_pieces import InPieces


def across_channels(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """x / (k + alpha / size * sum over `size` channels of x^2) ^ beta, for x of N x C x H x W.

    On a GPU, in half precision and where it is compiled, the sum over neighbouring channels is a 1 x 1 convolution with
    a banded C x C matrix, which runs at the speed of a convolution, forward and backward, where `local_response_norm`
    pads, pools and walks memory five times. x is scaled before it is squared, so that float16 cannot overflow. On a CPU
    the sum is taken piece by piece of x, within the processor's cache (`lrn_in_pieces.py`), three times as fast again.
    """
    if x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and not torch.compiler.is_compiling():
        return InPieces.apply(x, size, alpha, beta, k)
    return _AcrossChannels.apply(x, size, alpha, beta, k)


def across_channels_plain(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """The same by torch's own operator: what `across_channels` is tested against."""
    return local_response_norm(x, size, alpha, beta, k)


def within_channel(x: Tensor, size: int, alpha: float, beta: float) -> Tensor:
    """x * (1 + alpha * mean of x^2 over size x size positions) ^ -beta, the padding counted in the mean."""
    mean = avg_pool2d(x * x, size, 1, (size - 1) // 2, count_include_pad=True)
    return x * (1 + alpha * mean) ** -beta


class _AcrossChannels(torch.autograd.Function):
    """With its gradient written out: dy p - 2 alpha beta / n x band(dy p x / scale), p = scale ^ -beta."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        scaled = x * (alpha / size) ** 0.5
        scale = conv2d(scaled * scaled, _band(x.shape[1], size, x.dtype, x.device)) + k
        power = _negative_power(scale, beta)
        ctx.save_for_backward(x, scale, power)
        ctx.size, ctx.factor = size, -2 * alpha * beta / size
        return x * power

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, scale, power = ctx.saved_tensors
        own = gradients[0] * power
        neighbours = conv2d(own * x / scale, _band(x.shape[1], ctx.size, x.dtype, x.device))
        return own.addcmul(x, neighbours, value=ctx.factor), None, None, None, None


def _negative_power(scale: Tensor, beta: float) -> Tensor:
    """scale ^ -beta; a general power costs several times as much as these square roots."""
    if beta == 0.75:
        root = scale.rsqrt()
        return root * root.sqrt()
    if beta == 0.5:
        return scale.rsqrt()
    return scale**-beta


@cache
def _band(channels: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """C x C x 1 x 1, one where the channels are at most (size - 1) / 2 apart.

    Made on the device: compiled code makes it anew each time, and a CUDA graph may not copy from the host.
    """
    with torch.inference_mode(False):
        place = torch.arange(channels, device=device)
        distance = place[:, None] - place[None, :]
        band = (distance.abs() <= (size - 1) // 2).to(dtype)
        return band[:, :, None, None].contiguous()
