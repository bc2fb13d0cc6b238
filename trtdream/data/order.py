"""Which sample stands at which place of the endless stream, and the dice of each place.

Everything random is a pure function of (seed, global sample position), so that threads, ranks, prefetching and
a resume cannot change it. The numbers come from SplitMix64 (Steele, Lea, Flood 2014), written out here because its
stream must be the same for ever, which numpy does not promise of its generators.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Dice(IntEnum):
    """What a random number is for: each purpose has its own stream."""

    ORDER = 0
    CROP_Y = 1
    CROP_X = 2
    MIRROR = 3
    AREA = 4
    ASPECT = 5
    BRIGHTNESS = 6
    CONTRAST = 7
    SATURATION = 8


def bits(seed: int, positions: np.ndarray, dice: Dice) -> np.ndarray:
    """N random 64-bit numbers (uint64) for N positions (integers >= 0)."""
    with np.errstate(over="ignore"):
        key = _mix(np.uint64(seed % 2**64) + _GOLDEN * np.uint64(dice + 1))
        return _mix(_mix(key) + _GOLDEN * (positions.astype(np.uint64) + np.uint64(1)))


def below(limit: np.ndarray | int, random: np.ndarray) -> np.ndarray:
    """Map random 64-bit numbers to 0..limit-1 (int64); limit below 2^31."""
    return ((random >> np.uint64(32)) * np.asarray(limit, np.uint64) >> np.uint64(32)).astype(np.int64)


def fraction(random: np.ndarray) -> np.ndarray:
    """Map random 64-bit numbers to [0, 1) (float64)."""
    return (random >> np.uint64(11)).astype(np.float64) * 2.0**-53


@dataclass(frozen=True)
class Order:
    """The endless stream over `count` samples: epoch after epoch, each sample once in each.

    With `shuffle` every epoch has its own order of the whole set; without, every epoch is 0..count-1,
    as Caffe's Data layer reads its database. A batch may lie across the end of an epoch.
    """

    count: int
    seed: int
    shuffle: bool

    def indices(self, positions: np.ndarray) -> np.ndarray:
        """The samples (0..count-1, int64) at N positions of the stream."""
        epochs, places = np.divmod(positions, self.count)
        if not self.shuffle:
            return places
        result = np.empty(len(positions), np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            result[here] = self._permutation(int(epoch))[places[here]]
        return result

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch not in self._recent:
            if len(self._recent) > 1:  # a batch touches two epochs at most, unless the set is tiny
                self._recent.pop(min(self._recent))
            places = np.arange(self.count) + np.int64(epoch) * self.count
            self._recent[epoch] = np.argsort(bits(self.seed, places, Dice.ORDER), kind="stable")
        return self._recent[epoch]

    @cached_property
    def _recent(self) -> dict[int, np.ndarray]:
        return {}


def _mix(x: np.ndarray | np.uint64) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
