from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.slow import LIMITS
from trtdream.bench.feeding import CACHED, FROM_DISK, RESIDENT, draw_files, time_source
from trtdream.bench.feeding_limit import Least, least_of
from trtdream.bench.limits import Bound
from trtdream.bench.timing import Repeats
from trtdream.data.feed import Feed
from trtdream.data.pack import Packing, pack
from trtdream.data.transform import Transform

QUICK = Repeats(runs=3, warm_up=1)


def test_every_place_of_every_source(tmp_path: Path) -> None:
    """A packed set can stay on the device; files cannot, and that is said."""
    files = draw_files(tmp_path, 8, size=32)
    transform = Transform(size=32, crop=24)
    pack(files, tmp_path / "packed", Packing(Transform(size=32)))
    for path, resident in ((tmp_path / "packed", True), (tmp_path / "list.txt", False)):
        rows = list(
            time_source(path, None, transform, [Feed(4, threads=1), Feed(4, threads=2)], QUICK, lambda _: LIMITS)
        )
        names = ("1 thread", "2 threads")
        assert [(row.name, row.part) for row in rows] == [
            (name, part) for name in names for part in (CACHED, FROM_DISK, RESIDENT)
        ]
        for row in rows:
            if row.part == RESIDENT and not resident:
                assert "pack it first" in row.absent
            else:
                assert row.timing is not None
                assert row.extra["images"] == 4
                assert row.extra["images_per_s"] > 0
                assert row.extra["of_limit"] > 0


def test_drawn_files(tmp_path: Path) -> None:
    """All there, the hundredth the first again."""
    source = draw_files(tmp_path, 102, size=16)
    assert len(source) == 102
    assert (source.content(0)[0] == source.content(100)[0]).all()
    assert (tmp_path / source.name(101)).exists()


def test_what_a_batch_takes_at_least() -> None:
    """1 MB of 100 pictures and 9 MB of floats at 10 GB/s are 1 ms; 2 ms of decoding each, in four threads, 50."""
    stored = Least(1e4, 0.0, lambda _: LIMITS)
    assert stored.bound(2.0, 9 * 10**6, Feed(100, threads=4)) == Bound("memory", pytest.approx(0.5))
    encoded = Least(1e4, 2.0, lambda _: LIMITS)
    assert encoded.bound(100.0, 9 * 10**6, Feed(100, threads=4)) == Bound("decode", pytest.approx(0.5))
    assert encoded.bound(2.0, 9 * 10**6, Feed(100, device="cuda")).limit == "memory"


def test_what_is_looked_at(tmp_path: Path) -> None:
    """The mean of the files' sizes; one that is no picture is not decoded, one that is empty not counted."""
    files = draw_files(tmp_path, 3, size=16)
    (tmp_path / files.name(1)).write_bytes(b"no picture")
    (tmp_path / files.name(2)).write_bytes(b"")
    found = least_of(files, lambda _: LIMITS)
    assert found.stored_bytes == ((tmp_path / files.name(0)).stat().st_size + len(b"no picture")) / 2
    assert found.decode_ms > 0
    (tmp_path / files.name(0)).write_bytes(b"")
    assert least_of(files, lambda _: LIMITS).decode_ms == 0
