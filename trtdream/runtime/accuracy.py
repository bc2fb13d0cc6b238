"""How often a classifier is right, and what it takes for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_MOST = 5


@dataclass(frozen=True)
class Accuracy:
    """pictures: how many had a label. top1, top5: shares of them. confusions: (label, class seen, how often), the most
    frequent mistakes first.
    """

    pictures: int
    top1: float
    top5: float
    confusions: tuple[tuple[int, int, int], ...]


def accuracy(seen: Sequence[Sequence[int]], labels: Sequence[int | None]) -> Accuracy | None:
    """Compare the classes seen in each picture, the surest first and five or more of them, with the labels.

    Returns:
        None if no picture has a label.
    """
    pairs = [(each, label) for each, label in zip(seen, labels, strict=True) if label is not None]
    if not pairs:
        return None
    mistakes = Counter((label, each[0]) for each, label in pairs if each[0] != label)
    return Accuracy(
        len(pairs),
        sum(each[0] == label for each, label in pairs) / len(pairs),
        sum(label in each[:5] for each, label in pairs) / len(pairs),
        tuple((label, other, count) for (label, other), count in mistakes.most_common(_MOST)),
    )
