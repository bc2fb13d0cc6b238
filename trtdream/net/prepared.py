"""Weights in the form that a step computes with: cast, and those of merged branches one after the other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class _Kept:
    tensor: Tensor
    made_from: tuple[Hashable, ...]


class Prepared:
    """Makes them, and keeps them where the weights are frozen, until one of these is changed."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}

    def get(self, name: Hashable, weights: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
        """The weights, one after the other along their first axis, as `dtype`.

        Args:
            name: of these weights, always the same.
        """
        if torch.compiler.is_compiling() or any(weight.requires_grad or weight.is_inference() for weight in weights):
            return _prepare(weights, dtype)
        now = (dtype, *((weight.data_ptr(), weight.device, weight._version) for weight in weights))
        kept = self._kept.get(name)
        if kept is None or kept.made_from != now:
            with torch.inference_mode(False):
                self._kept[name] = kept = _Kept(_prepare(weights, dtype), now)
        return kept.tensor


def _prepare(weights: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    cast = [weight.to(dtype) for weight in weights]
    return cast[0] if len(cast) == 1 else torch.cat(cast)
