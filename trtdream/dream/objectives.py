"""What a dream makes grow. Objectives add up and take weights: `l2(a) + 0.5 * channels(b, [7])`.

An objective names the values of the network that it looks at, and gives one number for them. All are written for
one picture at a time (N = 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from trtdream.errors import UsageError

Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class Objective:
    """The number `score` makes of the values called `values`."""

    values: frozenset[str]
    score: Callable[[Values], Tensor]

    def __add__(self, other: Objective) -> Objective:
        return Objective(self.values | other.values, lambda found: self.score(found) + other.score(found))

    def __rmul__(self, weight: float) -> Objective:
        return Objective(self.values, lambda found: weight * self.score(found))


def l2(value: str) -> Objective:
    """Half the squared norm of a value: whatever the layer sees, more of it (the original DeepDream)."""
    return Objective(frozenset([value]), lambda found: 0.5 * (found[value] * found[value]).sum())


def channels(value: str, indices: Sequence[int]) -> Objective:
    """Half the squared norm of some channels of a value N x C x H x W (or N x C).

    Raises (when scored):
        UsageError: the value has no such channel.
    """

    def score(found: Values) -> Tensor:
        blob = found[value]
        if max(indices) >= blob.shape[1]:
            raise UsageError(f"channel {max(indices)}: {value} has {blob.shape[1]} channels, 0 to {blob.shape[1] - 1}")
        chosen = blob[:, list(indices)]
        return 0.5 * (chosen * chosen).sum()

    return Objective(frozenset([value]), score)


def guide(value: str, features: Tensor) -> Objective:
    """Make each place of a value resemble the place of the guide's that it resembles most already.

    The sum over places of x . y, where y is the guide's feature vector with the greatest dot product with x, held
    fixed: the best-match rule of the original notebook.

    Args:
        features: the same value of the guide picture, 1 x C x H' x W'.
    """
    theirs = features.detach().flatten(2)[0]  # C x places of the guide

    def score(found: Values) -> Tensor:
        ours = found[value].flatten(2)[0]  # C x places
        best = (ours.detach().t() @ theirs).argmax(1)
        return (ours * theirs[:, best]).sum()

    return Objective(frozenset([value]), score)
