from __future__ import annotations

from typing import Any

import pytest

from trtdream.bench.compare import compare
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
