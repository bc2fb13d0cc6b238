"""Local response normalisation across channels on a CPU: piece by piece, each small enough to stay in its cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_PIECE = 2**18  # numbers: few enough for a cache, enough that calling torch costs little; measured on two cores


class InPieces(torch.autograd.Function):
    """x / scale ^ beta, scale = k + alpha / size * sum over `size` channels of x^2, for x of N x C x H x W.

    Its gradient is dy p - 2 alpha beta / size x sum(dy p x / scale), p = scale ^ -beta.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        y, scale = torch.empty_like(x), torch.empty_like(x)
        room = _Room(x, size)
        for piece in _pieces(x):
            one, its_scale, its_y = x[piece], scale[piece], y[piece]
            torch.mul(one, one, out=room.terms(one))
            room.sum_into(its_scale).mul_(alpha / size).add_(k)
            _power_into(its_y, its_scale, beta, room.spare(one)).mul_(one)
        ctx.save_for_backward(x, scale)
        ctx.size, ctx.beta, ctx.factor = size, beta, -2 * alpha * beta / size
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, scale = ctx.saved_tensors
        out = torch.empty_like(x)
        room = _Room(x, ctx.size)
        for piece in _pieces(x):
            one, its_scale, own = x[piece], scale[piece], out[piece]
            spare = room.spare(one)
            _power_into(own, its_scale, ctx.beta, spare).mul_(gradients[0][piece])
            torch.mul(own, one, out=spare)
            torch.div(spare, its_scale, out=room.terms(one))
            own.addcmul_(room.sum_into(spare), one, value=ctx.factor)
        return out, None, None, None, None


class _Room:
    """Scratch memory for pieces of x, in the layout of x; the channels of the terms have half a window of zeros around.

    Attributes:
        half: channels on each side of one that are summed with it.
    """

    def __init__(self, x: Tensor, size: int) -> None:
        self.half = size // 2
        last = x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        pictures, channels, height, width = x[_first(x)].shape
        padded = (pictures, channels + 2 * self.half, height, width)
        self._padded = torch.zeros(padded, dtype=x.dtype).contiguous(memory_format=layout)
        self._spare = torch.empty((pictures, channels, height, width), dtype=x.dtype, memory_format=layout)

    def spare(self, piece: Tensor) -> Tensor:
        return self._spare[: len(piece), :, : piece.shape[2]]

    def terms(self, piece: Tensor) -> Tensor:
        """Where what is to be summed is written, N x C x H x W of the piece."""
        return self._shifted(piece, 0)

    def sum_into(self, out: Tensor) -> Tensor:
        """Write the sums of the terms over each channel's window."""
        if not self.half:
            return out.copy_(self.terms(out))
        torch.add(self._shifted(out, -self.half), self._shifted(out, self.half), out=out)
        for shift in range(1 - self.half, self.half):
            out.add_(self._shifted(out, shift))
        return out

    def _shifted(self, piece: Tensor, shift: int) -> Tensor:
        pictures, channels, height, _ = piece.shape
        return self._padded[:pictures, self.half + shift : self.half + shift + channels, :height]


def _pieces(x: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Indices that cut N x C x H x W into pieces: some whole pictures or, of greater ones, some rows."""
    pictures, rows = _piece_size(x)
    for first in range(0, x.shape[0], pictures):
        for top in range(0, x.shape[2], rows):
            yield slice(first, first + pictures), slice(None), slice(top, top + rows)


def _first(x: Tensor) -> tuple[slice, slice, slice]:
    pictures, rows = _piece_size(x)
    return slice(pictures), slice(None), slice(rows)


def _piece_size(x: Tensor) -> tuple[int, int]:
    """Pictures and rows of a piece."""
    _, channels, height, width = x.shape
    row = max(channels * width, 1)
    return max(1, _PIECE // max(row * height, 1)), max(1, min(height, _PIECE // row))


def _power_into(out: Tensor, scale: Tensor, beta: float, spare: Tensor) -> Tensor:
    """Write scale ^ -beta; a general power costs several times as much as the square roots of Caffe's usual 0.75."""
    if beta != 0.75:
        return torch.pow(scale, -beta, out=out)
    torch.rsqrt(scale, out=out)
    return out.mul_(torch.sqrt(out, out=spare))
