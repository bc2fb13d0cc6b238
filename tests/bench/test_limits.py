from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.slow import LIMITS
from trtdream.bench import limits
from trtdream.bench.clock import clock_for
from trtdream.bench.limits import bound, bound_of_all, limits_of
from trtdream.bench.products import convolution, product
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
    assert set(first.flops_per_s) == {"float32", "bfloat16", "float16", "int8"}
    assert set(first.absent) == {"tf32", "fp8"}
    (kept,) = (tmp_path / "limits").iterdir()
    assert limits_of("cpu") == first
    kept.write_text("{")
    assert limits_of("cpu").call_ms > 0
    assert kept.read_text() != "{"
    before = kept.stat().st_mtime_ns
    limits_of("cpu", again=True)
    assert kept.stat().st_mtime_ns > before


def test_a_precision_that_the_device_refuses_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a GPU without it: what torch says is the reason. Without float32 there are no limits."""
    refused = {"fp8": "requires CUDA capability >= 8.9"}

    def multiply(precision: str, side: int, device: str) -> Callable[[], object]:
        if precision in refused:
            raise RuntimeError(refused[precision])
        return product("float32", side, device)

    monkeypatch.setattr(limits, "_LARGEST_SIDE", {"cpu": 256})
    monkeypatch.setattr(limits, "precisions", lambda _: ("float32", "bfloat16", "float16", "tf32", "int8", "fp8"))
    monkeypatch.setattr(limits, "product", multiply)
    rates, absent = limits._rates(clock_for("cpu"), "cpu")
    assert absent == refused
    assert set(rates) == {"float32", "bfloat16", "float16", "tf32", "int8"}
    refused["float32"] = "broken"
    with pytest.raises(RuntimeError, match="broken"):
        limits._rates(clock_for("cpu"), "cpu")


@pytest.mark.parametrize(("precision", "wanted"), [("float32", 8.0), ("bfloat16", 8.0), ("int8", 32), ("fp8", 8.0)])
def test_products(precision: str, wanted: float) -> None:
    """32 times 0.5 * 0.5, of integers 1 * 1: a CPU has them all but TF32."""
    assert (product(precision, 32, "cpu")() == wanted).all()


def test_a_convolution_and_its_operations() -> None:
    """192 x 9 products a place, all 0.5 * 0.5 but at the border; each a multiplication and an addition."""
    work, operations = convolution()
    out = work()
    assert out[0, :, 1:-1, 1:-1].unique().tolist() == [192 * 9 * 0.25]
    assert operations == 2 * out.numel() * 192 * 9
