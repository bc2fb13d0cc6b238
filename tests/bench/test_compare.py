from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trtdream.bench.compare import compare
from trtdream.bench.timing import timing_of
from trtdream.errors import InputRefused


def result(*rows: tuple[str, float, float], what: str = "net", **settings: Any) -> dict[str, Any]:
    return {
        "what": what,
        "machine": {"cores": 2},
        "settings": settings,
        "rows": [{"name": name, "part": "forward", "median_ms": ms, "spread": spread} for name, ms, spread in rows],
    }


def test_ratio_and_noise() -> None:
    """10 +- 1 against 11 +- 1.1 is noise, against 13 +- 0.5 is not."""
    before = result(("a", 10, 0.1), ("b", 10, 0.1), ("gone", 1, 0))
    after = result(("a", 11, 0.1), ("b", 13, 0.04), ("new", 1, 0))
    found = compare(before, after)
    assert [(change.name, change.beyond_noise) for change in found.changes] == [("a", False), ("b", True)]
    assert found.changes[1].ratio == pytest.approx(1.3)
    assert (found.only_before, found.only_after) == (("gone forward",), ("new forward",))


def test_what_else_differs_is_said() -> None:
    found = compare(result(("a", 1, 0), batch=1), result(("a", 1, 0), batch=8))
    assert found.differences == ("batch: 1 -> 8",)


def test_different_measurements_are_refused() -> None:
    with pytest.raises(InputRefused, match="bench net"):
        compare(result(("a", 1, 0)), result(("a", 1, 0), what="dream"))
    with pytest.raises(InputRefused, match="no row in common"):
        compare(result(("a", 1, 0)), result(("b", 1, 0)))


def test_absent_rows_are_left_out() -> None:
    before = result(("a", 1, 0))
    before["rows"].append({"name": "b", "part": "forward", "absent": "no GPU"})
    assert len(compare(before, result(("a", 1, 0), ("b", 1, 0))).changes) == 1


def test_two_measurements_of_the_same_thing() -> None:
    """Ten runs each that scatter by 3 %, in processes that differ by 2 %: one of 100 pairs at most is called a change,
    and a third more is found."""
    random = np.random.default_rng(0)

    def measured(factor: float) -> dict[str, Any]:
        runs = 10 * factor * (1 + 0.02 * random.standard_normal()) * (1 + 0.03 * random.standard_normal(10))
        timing = timing_of(list(runs))
        return result(("a", timing.median_ms, timing.spread))

    def changes(factor: float) -> int:
        return sum(compare(measured(1), measured(factor)).changes[0].beyond_noise for _ in range(200))

    assert changes(1) <= 2
    assert changes(1.33) >= 190


def test_doubts_of_either() -> None:
    doubtful = {**result(("a", 1, 0)), "doubts": ["others used 30% of the processor's cores meanwhile"]}
    assert compare(result(("a", 1, 0)), doubtful).doubts == ((), tuple(doubtful["doubts"]))
