"""Bad files: what stops a run, what is skipped, and that skipping depends on the files only."""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from trtdream.data.feed import Batch, Feed
from trtdream.data.loader import Loader
from trtdream.data.onepass import one_pass
from trtdream.data.sources import Listing, Source, open_source
from trtdream.data.synth import draw
from trtdream.data.transform import Transform
from trtdream.errors import InputRefused

TRANSFORM = Transform(size=48, crop=41, mirror=True)
FEED = Feed(8, seed=5, on_bad="skip")


def cut_short(content: bytes) -> bytes:
    """Half a JPEG: only looking at its end, or decoding it, finds that."""
    return content[: len(content) // 2]


def flipped_in_the_middle(content: bytes) -> bytes:
    """A JPEG whose first and last bytes are right, but whose header cannot be read."""
    start = content.index(b"\xff\xc4") + 4
    return content[:start] + bytes([255]) * 60 + content[start + 60 :]


@pytest.fixture
def broken(photos: Path, tmp_path: Path) -> Path:
    """The training photos; 17 is cut short, 18's header is spoilt, 30 is empty, 40 is missing."""
    shutil.copytree(photos / "train", tmp_path / "train")
    shutil.copy(photos / "train.txt", tmp_path)
    source = open_source(tmp_path / "train.txt")
    for index, spoil in ((17, cut_short), (18, flipped_in_the_middle)):
        path = tmp_path / source.name(index)
        path.write_bytes(spoil(path.read_bytes()))
    (tmp_path / source.name(30)).write_bytes(b"")
    (tmp_path / source.name(40)).unlink()
    return tmp_path / "train.txt"


def take(source: Source, feed: Feed, count: int, start: int = 0) -> tuple[list[Batch], tuple[str, ...]]:
    with Loader(source, TRANSFORM, feed) as loader:
        loader.load_state_dict({**loader.state_dict(), "position": start * feed.batch})
        return [next(loader) for _ in range(count)], loader.skipped


@pytest.mark.parametrize("batch", [8, 40])
@pytest.mark.parametrize("checked", [True, False])
def test_under_skip_the_next_good_file_takes_the_place(broken: Path, photos: Path, checked: bool, batch: int) -> None:
    """Every batch equals that of a whole set in which the good file is listed in the bad one's place."""
    listed = open_source(broken)
    assert isinstance(listed, Listing)
    paths, labels = list(listed.paths), listed.labels.copy()
    for bad, good in ((17, 19), (18, 19), (30, 31), (40, 41)):
        paths[bad], labels[bad] = paths[good], labels[good]
    mended = replace(listed, root=photos, paths=tuple(paths), labels=labels)
    feed = replace(FEED, batch=batch, check_files=checked)
    batches, skipped = take(listed, feed, 14)
    for made, wanted in zip(batches, take(mended, feed, 14)[0], strict=True):
        assert torch.equal(made.data, wanted.data)
        assert torch.equal(made.label, wanted.label)
        assert not set(made.indices) & {17, 18, 30, 40}
    assert len(skipped) == 4
    first = "cut short" if checked else "cannot be decoded"
    for index, why in ((17, first), (18, "no header of an image"), (30, "is empty"), (40, "cannot be read")):
        assert any(listed.name(index) in line and why in line for line in skipped)


def test_resume_across_bad_files_is_exact(broken: Path) -> None:
    """A resumed run has not met the bad files yet, and makes the same batches."""
    source = open_source(broken)
    feed = replace(FEED, check_files=False)
    straight, _ = take(source, feed, 14)
    for start in (1, 4, 6, 9):
        for threads in (1, 4):
            resumed, _ = take(source, replace(feed, threads=threads), 3, start)
            assert all(torch.equal(a.data, b.data) for a, b in zip(resumed, straight[start:], strict=False))


def test_skipping_is_said(broken: Path, capfd: pytest.CaptureFixture[str]) -> None:
    take(open_source(broken), replace(FEED, check_files=False), 14)
    said = capfd.readouterr().err
    assert "skipped: " in said
    assert "(4 so far)" in said


def test_under_stop_headers_are_looked_at_before_the_first_batch(broken: Path) -> None:
    source = open_source(broken)
    with pytest.raises(InputRefused, match=r"3 of 50 samples .*00017.jpg.*00030.jpg: is empty.*00040.jpg"):
        Loader(source, TRANSFORM, replace(FEED, on_bad="stop"))


def test_under_stop_a_corrupt_file_in_the_middle_of_an_epoch_ends_the_run_by_name(broken: Path) -> None:
    source = open_source(broken)
    feed = replace(FEED, on_bad="stop", check_files=False)
    with pytest.raises(InputRefused, match=r"000(17|18|30|40).jpg.*on_bad: skip"):
        take(source, feed, 14)


def test_a_set_without_a_good_file(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(b"\xff\xd8\xff nothing \xff\xd9")
    with (
        Loader(open_source(tmp_path), TRANSFORM, FEED) as loader,
        pytest.raises(InputRefused, match="no sample that can be decoded"),
    ):
        next(loader)


def test_an_encoded_database_skips_too(broken: Path, tmp_path: Path, photos: Path) -> None:
    from trtdream.caffe.datum import encoded_datum
    from trtdream.caffe.lmdb import caffe_key, write_lmdb

    whole, listed = open_source(photos / "train.txt"), open_source(broken)
    values = []
    for index in range(50):
        content, label = (listed if index in (17, 18) else whole).content(index)
        values.append((caffe_key(index, listed.name(index)), encoded_datum(content.tobytes(), label)))
    write_lmdb(tmp_path / "lmdb", values, 1 << 20)
    batches, skipped = take(open_source(tmp_path / "lmdb"), FEED, 7)
    assert len(skipped) == 2
    assert not {17, 18} & set(np.concatenate([batch.indices for batch in batches]))


@dataclass(frozen=True)
class _Spoilt:
    """Image files of many kinds, three in four of them cut, overwritten or with bytes changed, by lot."""

    contents: tuple[np.ndarray, ...]
    origin: Path = Path("spoilt")
    stored: Literal["encoded", "pixels"] = "encoded"
    shape: tuple[int, int, int] | None = None
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.contents)

    def name(self, index: int) -> str:
        return f"spoilt {index}"

    def content(self, index: int) -> tuple[np.ndarray, int]:
        return self.contents[index], index


def spoilt(seed: int, count: int) -> _Spoilt:
    random = np.random.RandomState(seed)
    whole = []
    for label in range(4):
        picture = Image.fromarray(draw(label, 0, 64))
        for kind, options in (("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("BMP", {})):
            buffer = io.BytesIO()
            picture.save(buffer, kind, **options)
            whole.append(buffer.getvalue())
    contents = []
    for number in range(count):
        content = bytearray(whole[random.randint(len(whole))])
        place = random.randint(1, len(content))
        if number % 4 == 1:
            content = content[:place]
        elif number % 4 == 2:
            content[place : place + random.randint(1, 200)] = random.bytes(random.randint(0, 200))
        elif number % 4 == 3:
            for _ in range(random.randint(1, 20)):
                content[random.randint(len(content))] = random.randint(256)
        contents.append(np.frombuffer(bytes(content), np.uint8))
    return _Spoilt(tuple(contents))


@pytest.mark.full
@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_can_be_done_to_a_file_ends_the_run(seed: int) -> None:
    """Every whole file is decoded; what is left out is among the spoilt ones. DALI alone crashes on most such sets."""
    source = spoilt(seed, 128)
    parts = list(one_pass(source, Transform(size=64), 2, on_bad="skip", batch=64))
    taken = {int(index) for part in parts for index in part.indices}
    left_out = {index for part in parts for index in part.left_out}
    assert taken | left_out == set(range(128))
    assert not taken & left_out
    assert left_out
    assert all(index % 4 for index in left_out)
