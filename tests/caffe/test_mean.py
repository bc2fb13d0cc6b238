"""Mean images: real Caffe's, numpy's, and files that are none."""

import random
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from trtdream.caffe.mean import read_mean, write_mean
from trtdream.caffe.messages import message_class
from trtdream.errors import InputRefused, UsageError

MEAN = np.random.default_rng(0).uniform(0, 255, (3, 4, 5)).astype(np.float32)


def npy(array: np.ndarray, **more: object) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array, **more)
    return buffer.getvalue()


def test_real_caffes(truth: Path) -> None:
    """compute_image_mean's file is the mean of the images it was made of, and is written back byte for byte."""
    mean = read_mean(truth / "train/mean.binaryproto")
    images = np.load(truth / "train/images.npz")
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, images["images_bgr_chw_uint8"].astype(np.float64).mean(0), rtol=1e-5)


def test_written_like_real_caffes(truth: Path, tmp_path: Path) -> None:
    write_mean(tmp_path / "mean.binaryproto", read_mean(truth / "train/mean.binaryproto"))
    assert (tmp_path / "mean.binaryproto").read_bytes() == (truth / "train/mean.binaryproto").read_bytes()


@pytest.mark.parametrize("name", ["mean.binaryproto", "mean.npy"])
@pytest.mark.parametrize("mean", [MEAN, MEAN.astype(np.float64), MEAN[:1]])
def test_round_trip(tmp_path: Path, name: str, mean: np.ndarray) -> None:
    write_mean(tmp_path / name, mean)
    found = read_mean(tmp_path / name)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, mean.astype(np.float32))


def test_one_value_a_channel(tmp_path: Path) -> None:
    values = np.array([104.0, 117, 123])
    write_mean(tmp_path / "mean.npy", values)
    assert read_mean(tmp_path / "mean.npy").tolist() == [104, 117, 123]
    write_mean(tmp_path / "mean.binaryproto", values)
    assert read_mean(tmp_path / "mean.binaryproto").shape == (3, 1, 1)


@pytest.mark.parametrize(
    "array", [MEAN[None], MEAN.astype(np.float64), MEAN.astype(np.uint8), MEAN.astype(">f4"), np.asfortranarray(MEAN)]
)
def test_other_arrays(tmp_path: Path, array: np.ndarray) -> None:
    (tmp_path / "m.npy").write_bytes(npy(array))
    found = read_mean(tmp_path / "m.npy")
    assert found.shape == (3, 4, 5)
    np.testing.assert_array_equal(found, array.reshape(3, 4, 5).astype(np.float32))


def legacy_blob() -> bytes:
    blob = message_class("BlobProto")(num=1, channels=3, height=4, width=5, data=MEAN.tobytes())
    return bytes(blob.SerializeToString())


@pytest.mark.parametrize(
    "content",
    [
        npy(np.ones((2, 3, 4, 5))),
        npy(np.ones((3, 4))),
        npy(np.ones((0, 4, 5))),
        npy(np.array("text")),
        npy(np.array([None], object), allow_pickle=True),
        npy(np.ones((3, 4, 5), np.complex64)),
        npy(MEAN)[:-1],
        npy(MEAN)[:40],
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x09\x00v\x00{}",
        npy(MEAN).replace(b"(3, 4, 5)", b"(3, 4, (("),
        npy(MEAN).replace(b"(3, 4, 5)", b"(9**99,) "),
        npy(MEAN).replace(b"(3, 4, 5), }        ", b"(99999999999999,), }"),
        npy(MEAN).replace(b"<f4", b"|O8"),
        npy(MEAN).replace(b"<f4", b"|V4"),
        legacy_blob()[:-1],
        legacy_blob()[:6],
        b"\x08\x01",
        b"no mean at all",
        b"\x00",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mean.bin"
    path.write_bytes(content)
    with pytest.raises(InputRefused, match=r"mean\.bin"):
        read_mean(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_mean(tmp_path / "mean.npy")
    (tmp_path / "mean.npy").touch()
    with pytest.raises(InputRefused, match="empty"):
        read_mean(tmp_path / "mean.npy")


def test_nothing_but_refusals_comes_of_damage(tmp_path: Path) -> None:
    rng = random.Random(0)
    path = tmp_path / "mean"
    for whole in (npy(MEAN), legacy_blob()):
        for _ in range(300):
            content = bytearray(whole)
            for _ in range(rng.randrange(1, 4)):
                content[rng.randrange(min(len(content), 130))] = rng.randrange(256)
            path.write_bytes(bytes(content[: rng.choice([len(content), rng.randrange(1, len(content))])]))
            try:
                found = read_mean(path)
            except InputRefused:
                continue
            assert found.ndim in (1, 3)
