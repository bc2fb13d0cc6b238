"""Two results side by side: ratios, and which of them are more than noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trtdream.errors import InputRefused


@dataclass(frozen=True)
class Change:
    """One row in both results; ratio is after over before, below 1 is faster."""

    name: str
    part: str
    before_ms: float
    after_ms: float
    ratio: float
    beyond_noise: bool


@dataclass(frozen=True)
class Comparison:
    """Rows of both, rows of one only, and what else differs, such as the machine or the batch.

    doubts are those of each result as a whole, before and after.
    """

    changes: tuple[Change, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    differences: tuple[str, ...]
    doubts: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Hold a result against an earlier one.

    A change is beyond noise if the medians are further apart than both spreads together (see `Timing`).

    Raises:
        InputRefused: one is of a network, the other of something else.
    """
    if before["what"] != after["what"]:
        raise InputRefused(f"one result is of {_named(before['what'])}, the other of {_named(after['what'])}")
    old, new = _rows(before), _rows(after)
    changes = tuple(_change(key, old[key], new[key]) for key in old if key in new)
    if not changes:
        raise InputRefused("the two results have no row in common: they measured different things")
    return Comparison(
        changes,
        tuple(" ".join(key) for key in old if key not in new),
        tuple(" ".join(key) for key in new if key not in old),
        (*_differences("machine", before, after), *_differences("settings", before, after)),
        (tuple(before.get("doubts", ())), tuple(after.get("doubts", ()))),
    )


def _named(what: str) -> str:
    return what if "/" in what else f"`bench {what}`"


def _rows(result: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(row["name"], row["part"]): row for row in result["rows"] if "absent" not in row}


def _change(key: tuple[str, str], old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
    before, after = old["median_ms"], new["median_ms"]
    noise = before * old["spread"] + after * new["spread"]
    ratio = after / before if before else float("inf") if after else 1.0
    return Change(*key, before, after, ratio, abs(after - before) > noise)


def _differences(what: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    old, new = before.get(what, {}), after.get(what, {})
    keys = dict.fromkeys((*old, *new))
    return [f"{key}: {old.get(key)} -> {new.get(key)}" for key in keys if old.get(key) != new.get(key)]
