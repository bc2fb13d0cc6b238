from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.slow import LIMITS
from trtdream.bench import limits
from trtdream.bench.limits import bound, bound_of_all, limits_of
from trtdream.bench.work import Work


@pytest.mark.parametrize(
    ("work", "milliseconds", "wanted", "share"),
    [
        (Work(10**9, 10**6), 20.0, "compute", 0.5),  # 1 GFLOP at 100 GFLOP/s is 10 ms, 1 MB at 10 GB/s 0.1 ms
        (Work(10**6, 10**8), 40.0, "memory", 0.25),
        (Work(0, 4), 0.01, "call", 0.1),
    ],
)
def test_the_binding_limit(work: Work, milliseconds: float, wanted: str, share: float) -> None:
    found = bound(milliseconds, work, "float32", LIMITS)
    assert found.limit == wanted
    assert found.share == pytest.approx(share)


def test_layers_one_after_another() -> None:
    """10 ms of arithmetic and 30 ms of memory, each layer by its own limit: 40 ms, most of it memory's."""
    found = bound_of_all(80.0, [Work(10**9, 10**6), Work(10**6, 3 * 10**8)], "float32", LIMITS)
    assert (found.limit, found.share) == ("memory", pytest.approx(0.5))


def test_measured_once_and_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sizes: only that the real measurement runs, is kept, and a damaged file is measured anew."""
    monkeypatch.setenv("TRTDREAM_HOME", str(tmp_path))
    monkeypatch.setattr(limits, "_COPY_BYTES", {"cpu": 2**16})
    monkeypatch.setattr(limits, "_LARGEST_SIDE", {"cpu": 256})
    first = limits_of("cpu")
    assert first.bytes_per_s > 0
    assert set(first.flops_per_s) == {"float32", "bfloat16", "float16"}
    (kept,) = (tmp_path / "limits").iterdir()
    assert limits_of("cpu") == first
    kept.write_text("{")
    assert limits_of("cpu").call_ms > 0
    assert kept.read_text() != "{"
    before = kept.stat().st_mtime_ns
    limits_of("cpu", again=True)
    assert kept.stat().st_mtime_ns > before
