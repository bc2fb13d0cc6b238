"""Packing, and packing that is interrupted: killed, out of space, stopped by a bad file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from trtdream.data import pack as module
from trtdream.data.pack import Packing, pack
from trtdream.data.packed import open_packed, verify
from trtdream.data.sources import open_source
from trtdream.data.transform import Transform
from trtdream.errors import InputRefused, TrtdreamError, UsageError

SIXTEEN = Packing(Transform(size=48), shard_bytes=16 * 3 * 48 * 48)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "index.json"}


def test_pixels_are_those_of_the_files(packed: Path, photos: Path) -> None:
    from PIL import Image

    source, listing = open_packed(packed), open_source(photos / "train.txt")
    for index in range(50):
        pixels, label = source.content(index)
        wanted = np.asarray(Image.open(photos / listing.name(index)))[:, :, ::-1].transpose(2, 0, 1)
        assert np.array_equal(pixels, wanted)
        assert label == index % 5


def test_a_database_is_packed_as_it_is(databases: dict[str, Path], packed: Path, tmp_path: Path) -> None:
    for kind in ("raw", "encoded"):
        pack(open_source(databases[kind]), tmp_path / kind, SIXTEEN)
        made, wanted = content(tmp_path / kind), content(packed)
        assert {name: made[name] for name in made if name != "names.txt"} == {
            name: wanted[name] for name in wanted if name != "names.txt"
        }


def test_bad_files_are_left_out(photos: Path, packed: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    listing = open_source(tmp_path / "photos" / "train.txt")
    for index in (3, 20, 49):
        (tmp_path / "photos" / listing.name(index)).write_bytes(b"\xff\xd8\xff\xe0 no picture \xff\xd9")
    with pytest.raises(InputRefused, match=r"00003.jpg: cannot be decoded"):
        pack(listing, tmp_path / "set", SIXTEEN)
    count, left_out = pack(listing, tmp_path / "other", Packing(Transform(size=48), on_bad="skip"))
    assert (count, left_out) == (47, tuple(listing.name(index) for index in (3, 20, 49)))
    made, whole = open_packed(tmp_path / "other"), open_packed(packed)
    kept = [index for index in range(50) if index not in (3, 20, 49)]
    for place, index in enumerate(kept):
        assert np.array_equal(made.content(place)[0], whole.content(index)[0])
        assert made.name(place) == whole.name(index)


def test_a_shard_of_bad_files_only(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    listing = open_source(tmp_path / "photos" / "train.txt")
    for index in range(16, 32):
        (tmp_path / "photos" / listing.name(index)).write_bytes(b"\xff\xd8\xff\xe0 no picture \xff\xd9")
    packing = Packing(Transform(size=48), shard_bytes=SIXTEEN.shard_bytes, on_bad="skip")
    assert pack(listing, tmp_path / "set", packing)[0] == 34
    assert verify(tmp_path / "set") == 34
    shards = sorted(path.name for path in (tmp_path / "set").glob("*.bin"))
    assert shards == ["shard-00000.bin", "shard-00002.bin", "shard-00003.bin"]


def test_goes_on_after_a_stop(photos: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted at the third shard: nothing can be opened; the same call finishes, writing two shards only."""
    source = open_source(photos / "train.txt")
    written = []
    write_shard = module._write_shard

    def watched(*arguments: object) -> None:
        number = arguments[2]
        if number == 2 and 2 not in written:
            written.append(2)
            raise KeyboardInterrupt
        written.append(number)
        write_shard(*arguments)

    monkeypatch.setattr(module, "_write_shard", watched)
    with pytest.raises(KeyboardInterrupt):
        pack(source, tmp_path / "set", SIXTEEN)
    with pytest.raises(InputRefused, match="is half a packed set"):
        open_source(tmp_path / "set")
    with pytest.raises(UsageError, match="half a packed set of another source or size"):
        pack(source, tmp_path / "set", Packing(Transform(size=40), shard_bytes=SIXTEEN.shard_bytes))
    with pytest.raises(UsageError, match="half a packed set of another source or size"):
        pack(open_source(photos / "val.txt"), tmp_path / "set", SIXTEEN)
    done: list[int] = []
    pack(source, tmp_path / "set", SIXTEEN, done.append)
    assert written == [0, 1, 2, 2, 3]
    assert sum(done) == 50
    assert content(tmp_path / "set") == content(packed)


@pytest.mark.full
def test_killed_it_can_be_finished(photos: Path, packed: Path, tmp_path: Path) -> None:
    """kill -9 once the first, the fifth and the eleventh shard of 17 is there; what is left is no set until the end."""
    folder = tmp_path / "set"
    program = (
        "import sys; from pathlib import Path\n"
        "from trtdream.data.pack import Packing, pack\n"
        "from trtdream.data.sources import open_source\n"
        "from trtdream.data.transform import Transform\n"
        "packing = Packing(Transform(size=48), shard_bytes=3 * 3 * 48 * 48)\n"
        "pack(open_source(Path(sys.argv[1])), Path(sys.argv[2]), packing)\n"
    )
    command = [sys.executable, "-c", program, str(photos / "train.txt"), str(folder)]
    for awaited in (0, 4, 10):
        process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
        while not (folder / f"shard-{awaited:05d}.bin").exists():
            assert process.poll() is None
            time.sleep(0.0005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (folder / "index.json").exists()
        with pytest.raises(InputRefused, match="half a packed set"):
            open_source(folder)
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True)
    assert verify(folder) == 50
    whole, made = open_packed(packed), open_packed(folder)
    assert all(np.array_equal(made.content(i)[0], whole.content(i)[0]) for i in range(50))
    assert not list(folder.glob(".shard-*"))


def test_space_is_checked_first(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("usage", (), {"free": 1 << 20}))
    with pytest.raises(TrtdreamError, match=r"GB are needed and .* are free"):
        pack(open_source(photos / "train.txt"), tmp_path / "set", SIXTEEN)
    assert not (tmp_path / "set").exists()


def test_a_disk_that_fills_up(photos: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real, small file system fills up behind the check's back; with more room the same call finishes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        monkeypatch.setattr(module, "_check_space", lambda *_: None)
        source = open_source(photos / "train.txt")
        with pytest.raises(TrtdreamError, match=r"shard-00002.bin: cannot be written \(No space left on device\)"):
            pack(source, disk / "set", SIXTEEN)
        assert not (disk / "set" / "index.json").exists()
        assert not list((disk / "set").glob(".shard-*"))
        subprocess.run(["mount", "-o", "remount,size=2m", disk], check=True)
        pack(source, disk / "set", SIXTEEN)
        assert content(disk / "set") == content(packed)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_what_lies_in_the_way_is_not_touched(photos: Path, packed: Path, tmp_path: Path) -> None:
    source = open_source(photos / "train.txt")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        pack(source, tmp_path, SIXTEEN)
    before = {path.name: path.stat().st_mtime_ns for path in packed.iterdir()}
    with pytest.raises(UsageError, match="is a packed set already"):
        pack(source, packed, SIXTEEN)
    assert {path.name: path.stat().st_mtime_ns for path in packed.iterdir()} == before
    assert (tmp_path / "mine.txt").read_text() == "mine"
