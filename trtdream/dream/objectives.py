"""What a dream makes grow. Objectives add up and take weights: `l2(a) + 0.5 * l2(b, [7])`.

An objective is a sum of terms, each one number made of one value of the network. A local term is a sum over the
value's places, so that it may be computed a part of the picture at a time. All are written for one picture (N = 1).

An objective is registered by name; its parameters are the keys of a recipe's layer that it needs (see `Layer`), and
`features`, those of the guide picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from trtdream.errors import InputRefused, UsageError
from trtdream.registry import registrar

Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class Part:
    """Where a piece of a value lies in the whole of it, which has `height` x `width` places."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Term:
    """The number `score` makes of (a piece of) the value, times `weight`; local if pieces add up to the whole."""

    value: str
    score: Callable[[Tensor, Part], Tensor]
    weight: float = 1.0
    local: bool = True


@dataclass(frozen=True)
class Objective:
    """A sum of terms."""

    terms: tuple[Term, ...]

    @property
    def values(self) -> frozenset[str]:
        """The values of the network that it looks at."""
        return frozenset(term.value for term in self.terms)

    def score(self, found: Values) -> Tensor:
        """The number it makes of whole values."""
        return self.score_parts(found, {name: _whole(found[name]) for name in self.values})

    def score_parts(self, found: Values, parts: Mapping[str, Part]) -> Tensor:
        """The number it makes of pieces of values that lie where `parts` says; local terms add up over the pieces."""
        return torch.stack(
            [term.weight * term.score(found[term.value], parts[term.value]) for term in self.terms]
        ).sum()

    def __add__(self, other: Objective) -> Objective:
        return Objective(self.terms + other.terms)

    def __rmul__(self, weight: float) -> Objective:
        return Objective(tuple(replace(term, weight=weight * term.weight) for term in self.terms))


OBJECTIVES: dict[str, Callable[..., Objective]] = {}
objective = registrar(OBJECTIVES, "objectives")


def make(name: str, value: str, keys: Mapping[str, Any]) -> Objective:
    """The objective of that name for a value, with those of `keys` that it takes.

    Raises:
        UsageError: there is none of that name, or it needs a key that is not given.
    """
    if name not in OBJECTIVES:
        raise UsageError(f"objective {name!r}: is none of {', '.join(OBJECTIVES)}")
    function = OBJECTIVES[name]
    wanted = [key for key in signature(function).parameters if key != "value"]
    if lacking := [key for key in wanted if key != "channels" and keys.get(key) in (None, ())]:
        raise UsageError(f"objective {name}: needs {', '.join(lacking)}")
    return function(value, **{key: keys[key] for key in wanted})


@objective("l2")
def l2(value: str, channels: Sequence[int] = ()) -> Objective:
    """Half the squared norm of a value N x C x H x W (or N x C), or of some of its channels.

    Whatever the layer sees, more of it: the original DeepDream.

    Raises (when scored):
        UsageError: the value has no such channel.
    """

    index = _Constant(channels, torch.long)

    def score(blob: Tensor, _part: Part) -> Tensor:
        chosen = _chosen(value, blob, index)
        return 0.5 * (chosen * chosen).sum()

    return Objective((Term(value, score),))


@objective("mean")
def mean(value: str, channels: Sequence[int] = ()) -> Objective:
    """The mean of a value, or of some of its channels, over its places: summed over the channels.

    Raises (when scored):
        UsageError: the value has no such channel.
    """

    index = _Constant(channels, torch.long)

    def score(blob: Tensor, part: Part) -> Tensor:
        return _chosen(value, blob, index).sum() / (part.height * part.width)

    return Objective((Term(value, score),))


@objective("neuron")
def neuron(value: str, channels: Sequence[int], at: tuple[float, float]) -> Objective:
    """Channels at one place, `at` being fractions of the way across and down.

    Raises (when scored):
        UsageError: the value has no such channel, or no places.
    """

    index = _Constant(channels, torch.long)

    def score(blob: Tensor, part: Part) -> Tensor:
        if blob.dim() != 4:
            raise UsageError(f"{value}: has no places, so no neuron at one; leave out its place")
        row = min(int(at[1] * part.height), part.height - 1) - part.top
        column = min(int(at[0] * part.width), part.width - 1) - part.left
        chosen = _chosen(value, blob, index)
        if 0 <= row < blob.shape[2] and 0 <= column < blob.shape[3]:
            return chosen[:, :, row, column].sum()
        return 0.0 * chosen.sum()

    return Objective((Term(value, score),))


@objective("direction")
def direction(value: str, direction: Sequence[float]) -> Objective:
    """What of a value lies along a vector of C numbers: the dot product, averaged over the places.

    Raises (when scored):
        UsageError: the vector has another number of channels.
    """

    vector = _Constant(direction, torch.float32)

    def score(blob: Tensor, part: Part) -> Tensor:
        if len(direction) != blob.shape[1]:
            raise UsageError(f"direction: has {len(direction)} numbers, {value} has {blob.shape[1]} channels")
        along = vector.on(blob.device).reshape(1, -1, *([1] * (blob.dim() - 2)))
        return (blob * along).sum() / (part.height * part.width)

    return Objective((Term(value, score),))


@objective("guide")
def guide(value: str, features: Tensor) -> Objective:
    """Make each place of a value resemble the place of the guide's that it resembles most already.

    The sum over places of x . y, where y is the guide's feature vector with the greatest dot product with x, held
    fixed: the best-match rule of the original notebook.

    Args:
        features: the same value of the guide picture, 1 x C x H' x W'.

    Raises:
        InputRefused: the guide has no features there (all of them are zero).
    """
    theirs = features.detach().flatten(2)[0]  # C x places of the guide
    if not theirs.any():
        raise InputRefused(f"guide: {value} does not answer to it: choose another layer or another picture")

    def score(blob: Tensor, _part: Part) -> Tensor:
        ours = blob.flatten(2)[0]  # C x places
        return (ours * theirs[:, _best_match(ours.detach(), theirs)]).sum()

    return Objective((Term(value, score),))


def _best_match(ours: Tensor, theirs: Tensor) -> Tensor:
    """For each place of ours (C x places) the place of theirs with the greatest dot product.

    A block of ours at a time: the whole table of products of two large pictures would take gigabytes.
    """
    block = max(1, 2**24 // theirs.shape[1])
    return torch.cat([(piece.t() @ theirs.to(ours.dtype)).argmax(1) for piece in ours.split(block, dim=1)])


class _Constant:
    """Numbers that lie ready on the device they are needed on: a copy to it has no place in a CUDA graph."""

    def __init__(self, numbers: Sequence[float], dtype: torch.dtype) -> None:
        self.numbers = tuple(numbers)
        self._there = torch.tensor(self.numbers, dtype=dtype)

    def on(self, device: torch.device) -> Tensor:
        if self._there.device != device:
            self._there = self._there.to(device)
        return self._there


def _chosen(value: str, blob: Tensor, channels: _Constant) -> Tensor:
    if not channels.numbers:
        return blob
    last = int(max(channels.numbers))
    if last >= blob.shape[1]:
        raise UsageError(f"channel {last}: {value} has {blob.shape[1]} channels, 0 to {blob.shape[1] - 1}")
    return blob.index_select(1, channels.on(blob.device))


def _whole(blob: Tensor) -> Part:
    height, width = (blob.shape[2], blob.shape[3]) if blob.dim() == 4 else (1, 1)
    return Part(0, 0, height, width)
