"""Packed sets that are not what they say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from trtdream.data.packed import open_packed, verify
from trtdream.data.sources import open_source
from trtdream.errors import InputRefused, VerificationFailed


@pytest.fixture
def copy(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / "set"))


def change_index(folder: Path, **said: object) -> None:
    file = folder / "index.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **said}))


def test_whole(copy: Path) -> None:
    assert verify(copy) == 50
    assert sorted(path.name for path in copy.iterdir()) == [
        "index.json",
        "labels.npy",
        "names.txt",
        *(f"shard-0000{number}.bin" for number in range(4)),
    ]


def test_layout_is_what_the_docstring_says(copy: Path, photos: Path) -> None:
    """count x C x size x size bytes, BGR, planar: read without any of the package's code."""
    from PIL import Image

    listing = open_source(photos / "train.txt")
    shards = [np.fromfile(copy / f"shard-0000{number}.bin", np.uint8) for number in range(4)]
    pixels = np.concatenate(shards).reshape(50, 3, 48, 48)
    names = (copy / "names.txt").read_text().splitlines()
    for index in (0, 15, 16, 49):
        wanted = np.asarray(Image.open(photos / listing.name(index)))
        assert np.array_equal(pixels[index].transpose(1, 2, 0)[:, :, ::-1], wanted)
        assert names[index] == listing.name(index)
    assert np.load(copy / "labels.npy").tolist() == [index % 5 for index in range(50)]


def test_a_shard_cut_short(copy: Path) -> None:
    shard = copy / "shard-00001.bin"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(InputRefused, match=r"shard-00001.bin: has 110591 bytes, index.json says 110592"):
        open_packed(copy)


def test_a_missing_shard(copy: Path) -> None:
    (copy / "shard-00002.bin").unlink()
    with pytest.raises(InputRefused, match=r"shard-00002.bin: is missing"):
        open_packed(copy)


def test_a_changed_byte_is_found_by_verify(copy: Path) -> None:
    for name in ("shard-00003.bin", "names.txt"):
        file = copy / name
        content = bytearray(file.read_bytes())
        content[5] ^= 1
        file.write_bytes(content)
    open_packed(copy)
    with pytest.raises(VerificationFailed, match=r"changed since it was packed: shard-00003.bin, names.txt"):
        verify(copy)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"count": 51}, "contradicts itself"),
        ({"shape": [3, 48, 0]}, "contradicts itself|damaged"),
        ({"shape": [3, 49, 48]}, "bytes, index.json says"),
        ({"shards": []}, "contradicts itself"),
        ({"shards": [{"file": "../elsewhere.bin", "count": 50, "sha256": ""}]}, "contradicts itself"),
        ({"shards": "many"}, "is damaged"),
        ({"format": "trtdream packed set 9"}, "is of format"),
    ],
)
def test_an_index_that_lies(copy: Path, said: dict[str, object], message: str) -> None:
    change_index(copy, **said)
    with pytest.raises(InputRefused, match=message):
        open_packed(copy)


def test_an_index_that_is_none(copy: Path) -> None:
    (copy / "index.json").write_text('{"format": "trtdr')
    with pytest.raises(InputRefused, match=r"index.json: is damaged"):
        open_source(copy)


def test_labels_of_another_set(copy: Path) -> None:
    np.save(copy / "labels.npy", np.zeros(49, np.int64))
    with pytest.raises(InputRefused, match=r"index.json says 50 samples, labels.npy has \(49,\)"):
        open_packed(copy)
