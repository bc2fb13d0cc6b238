from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trtdream.caffe.datum import encoded_datum, raw_datum, read_datum
from trtdream.caffe.lmdb import Lmdb, caffe_key, write_lmdb
from trtdream.errors import InputRefused, TrtdreamError

RANDOM = np.random.RandomState(1)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """2,500 Datums, so that several transactions are committed, as convert_imageset does."""
    pixels = RANDOM.randint(0, 256, (2500, 1, 6, 6)).astype(np.uint8)
    values = [(caffe_key(i, f"a/{i}.png"), raw_datum(pixels[i], i % 10)) for i in range(2500)]
    write_lmdb(tmp_path / "db", values, sum(len(value) for _, value in values))
    database = Lmdb(tmp_path / "db")
    assert database.keys == [key for key, _ in values]
    assert database.keys[17] == b"00000017_a/17.png"
    assert all(bytes(database.value(key)) == value for key, value in values[::100])
    assert [path.name for path in tmp_path.iterdir()] == ["db"]


def test_another_reader_of_caffes_databases_reads_ours(truth: Path, tmp_path: Path) -> None:
    """DALI's Caffe reader, written by others from Caffe's own schema: labels, pixels and encoded bytes.

    It labels raw C x H x W pixels as H x W x C: same bytes.
    """
    from nvidia.dali import Pipeline, fn

    jpeg = (truth / "nets" / "chelsea.jpg").read_bytes()
    pixels = RANDOM.randint(0, 256, (5, 3, 8, 9)).astype(np.uint8)
    raw = [(caffe_key(i, "x"), raw_datum(pixels[i], i * 111)) for i in range(5)]
    encoded = [(caffe_key(i, "x"), encoded_datum(jpeg, i * 111)) for i in range(5)]
    for name, values in (("raw", raw), ("encoded", encoded)):
        write_lmdb(tmp_path / name, values, sum(len(value) for _, value in values))
        pipeline = Pipeline(batch_size=5, num_threads=1, device_id=None)
        with pipeline:
            pipeline.set_outputs(*fn.readers.caffe(path=str(tmp_path / name)))
        contents, labels = pipeline.run()
        assert [int(np.asarray(labels[i])[0]) for i in range(5)] == [0, 111, 222, 333, 444]
        for i in range(5):
            assert np.asarray(contents[i]).tobytes() == (pixels[i].tobytes() if name == "raw" else jpeg)


def test_caffes_training_set(caffe_pictures: tuple[Path, np.ndarray]) -> None:
    path, images = caffe_pictures
    database = Lmdb(path)
    for key, wanted in zip(database.keys, images, strict=True):
        assert np.array_equal(read_datum(database.value(key), "it").pixels("it"), wanted)


@pytest.fixture
def caffe_pictures(truth: Path, tmp_path: Path) -> tuple[Path, np.ndarray]:
    stored = np.load(truth / "train" / "images.npz")
    images, labels = stored["images_bgr_chw_uint8"], stored["labels"]
    keys = [caffe_key(i, f"{i:03d}.png") for i in range(256)]
    assert [key.decode() for key in keys] == list(stored["keys"])  # convert_imageset's own keys
    values = [(key, raw_datum(pixels, int(label))) for key, pixels, label in zip(keys, images, labels, strict=True)]
    write_lmdb(tmp_path / "db", values, images.nbytes)
    return tmp_path / "db", images


def test_too_large_for_its_map_leaves_nothing(tmp_path: Path) -> None:
    values = ((caffe_key(i, "x"), bytes(1 << 20)) for i in range(9))
    with pytest.raises(TrtdreamError, match="cannot be written"):
        write_lmdb(tmp_path / "db", values, 1 << 20)
    assert list(tmp_path.iterdir()) == []


def test_damaged(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"no database at all" * 1000)
    with pytest.raises(InputRefused, match="is no LMDB, or is damaged"):
        Lmdb(tmp_path)
    write_lmdb(tmp_path / "empty", [], 0)
    with pytest.raises(InputRefused, match="without a sample"):
        Lmdb(tmp_path / "empty")
