from __future__ import annotations

from collections.abc import Iterator

import pytest

from trtdream.bench.timing import Repeats, Timing, measure, repeat, timing_of


def counting(*milliseconds: float) -> tuple[Iterator[float], list[float]]:
    """These values, then the last one for ever; and the list of what was taken."""
    taken: list[float] = []

    def values() -> Iterator[float]:
        for value in milliseconds:
            taken.append(value)
            yield value
        while True:
            taken.append(milliseconds[-1])
            yield milliseconds[-1]

    return values(), taken


def test_warm_up_ends_when_three_runs_are_alike() -> None:
    values, taken = counting(100, 50, 20, 10.5, 10, 10)
    timing = repeat(lambda: {"": next(values)}, Repeats(runs=4, warm_up=4))[""]
    assert timing.settled
    assert timing.warm_up == 6
    assert timing.median_ms == 10
    assert len(taken) == 6 + 4


def test_warm_up_that_never_settles_is_said() -> None:
    values, _ = counting(*[10, 20] * 50)
    timing = repeat(lambda: {"": next(values)}, Repeats(runs=4, warm_up=3))[""]
    assert not timing.settled
    assert timing.warm_up == 9
    assert [doubt for doubt in timing.doubts if "warm-up" in doubt]


def test_what_is_warm_already_is_not_warmed_up() -> None:
    values, taken = counting(10, 20, 30)
    timing = repeat(lambda: {"": next(values)}, Repeats(runs=3, warm_up=0))[""]
    assert (timing.warm_up, timing.settled, taken) == (0, True, [10, 20, 30])


def test_median_least_and_spread() -> None:
    values, _ = counting(10, 10, 10, 9, 10, 11, 12, 13)
    timing = repeat(lambda: {"": next(values)}, Repeats(runs=5, warm_up=3))[""]
    assert (timing.median_ms, timing.least_ms, timing.runs) == (11, 9, 5)
    assert timing.spread == pytest.approx((13 - 9) / 11)
    assert timing.doubts == ("spread 36.4%",)


def test_the_spread_of_many_runs_is_that_of_their_deciles() -> None:
    """Of 19 the second and the second to last; one that took a hundred times as long changes nothing."""
    assert timing_of([*range(1, 19), 1000]).spread == pytest.approx((18 - 2) / 10)


def test_parts_are_kept_apart() -> None:
    timings = repeat(lambda: {"a": 1.0, "b": 2.0}, Repeats(runs=3, warm_up=1))
    assert {part: timing.median_ms for part, timing in timings.items()} == {"a": 1.0, "b": 2.0}


def test_seconds_end_the_runs_but_not_before_three() -> None:
    timing = repeat(lambda: {"": 1.0}, Repeats(runs=1000, warm_up=1, seconds=0))[""]
    assert timing.runs == 3


def test_finish_is_called_within_each_run() -> None:
    calls: list[str] = []
    timing = measure(lambda: calls.append("work"), runs=3, warm_up=3, finish=lambda: calls.append("finish"))
    assert calls[1:] == ["work", "finish"] * (timing.warm_up + timing.runs)


@pytest.mark.parametrize(("spread", "doubted"), [(0.025, False), (0.026, True)])
def test_spread_is_doubted_from_two_and_a_half_percent(spread: float, doubted: bool) -> None:
    assert bool(Timing(1.0, 1.0, 1.0, 1.0, spread, 5, 3).doubts) is doubted
