from __future__ import annotations

from pathlib import Path

from trtdream.bench.feeding import CACHED, FROM_DISK, RESIDENT, draw_files, time_source
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
        rows = list(time_source(path, None, transform, [Feed(4, threads=1), Feed(4, threads=2)], QUICK))
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


def test_drawn_files(tmp_path: Path) -> None:
    """All there, the hundredth the first again."""
    source = draw_files(tmp_path, 102, size=16)
    assert len(source) == 102
    assert (source.content(0)[0] == source.content(100)[0]).all()
    assert (tmp_path / source.name(101)).exists()
