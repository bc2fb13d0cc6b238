from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trtdream.data.lists import write_list
from trtdream.data.mean import mean_image
from trtdream.data.sources import open_source
from trtdream.data.transform import Transform
from trtdream.errors import InputRefused


def test_is_caffes(caffe_lmdb: Path, truth: Path, tmp_path: Path) -> None:
    """Of compute_image_mean's 256 pictures: from the database, and from lossless files."""
    stored = np.load(truth / "train" / "images.npz")
    found = mean_image(open_source(caffe_lmdb), Transform(), 2)
    assert found.dtype == np.float32
    assert np.abs(found - stored["mean"]).max() < 1e-4
    assert [round(float(value), 3) for value in found.mean(axis=(1, 2))] == [117.856, 116.751, 117.615]  # its log

    for index, pixels in enumerate(stored["images_bgr_chw_uint8"]):
        Image.fromarray(pixels[::-1].transpose(1, 2, 0).copy()).save(tmp_path / f"{index:03d}.png")
    write_list(tmp_path / "list.txt", ((f"{index:03d}.png", 0) for index in range(256)))
    from_files = mean_image(open_source(tmp_path / "list.txt"), Transform(size=48), 2)
    assert np.array_equal(from_files, found)


def test_counts_and_leaves_out_what_cannot_be_decoded(photos: Path, tmp_path: Path) -> None:
    names = [f"{photos}/train/00_disc_rows/00000.jpg", f"{photos}/train/01_square_columns/00001.jpg", "bad.jpg"]
    (tmp_path / "bad.jpg").write_bytes((photos / "train/00_disc_rows/00005.jpg").read_bytes()[:700])
    write_list(tmp_path / "all.txt", ((name, 0) for name in names))
    write_list(tmp_path / "good.txt", ((name, 0) for name in names[:2]))
    wanted = mean_image(open_source(tmp_path / "good.txt"), Transform(size=48), 2)
    counts: list[int] = []
    found = mean_image(open_source(tmp_path / "all.txt"), Transform(size=48), 2, "skip", counts.append)
    assert np.array_equal(found, wanted)
    assert sum(counts) == 3
    with pytest.raises(InputRefused, match=r"bad.jpg: cannot be decoded"):
        mean_image(open_source(tmp_path / "all.txt"), Transform(size=48), 2)
