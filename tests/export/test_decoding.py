"""Photographs through DALI as through Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trtdream.errors import InputRefused
from trtdream.export.decoding import PhotographLoader, picture_loader
from trtdream.runtime.classify import for_picture, load_pictures
from trtdream.runtime.image import load_image
from trtdream.runtime.preprocess import Preprocess, preprocess

pytest.importorskip("nvidia.dali", reason="DALI is not installed")
SPEC = Preprocess((64, 64), (80, 96), np.array([104, 117, 123], np.float32))
PHOTOGRAPHS = sorted((Path(__file__).parents[2] / "trtdream/export/photographs").glob("*.jpg"))


@pytest.fixture(scope="module")
def load() -> PhotographLoader:
    return PhotographLoader(SPEC, 8, 2, on_gpu=False)


def same(load: PhotographLoader, paths: list[Path], squashed: bool) -> None:
    found = load(paths)
    assert [picture.shape[:2] == SPEC.squash for picture in found] == [squashed] * len(paths)
    for picture, wanted in zip(found, load_pictures(paths), strict=True):
        one, other = (preprocess(each, for_picture(SPEC, each)) for each in (picture, wanted))
        assert np.abs(one - other).max() <= 1 and np.abs(one - other).mean() < 0.2


def test_photographs_are_squashed(load: PhotographLoader) -> None:
    same(load, PHOTOGRAPHS, squashed=True)


def test_pictures_of_the_networks_size_stay_whole(load: PhotographLoader, tmp_path: Path) -> None:
    for name, side in (("a", 64), ("b", 64), ("c", 128)):
        Image.fromarray(load_image(PHOTOGRAPHS[0])[:side, :side]).save(tmp_path / f"{name}.jpg", quality=95)
    small = sorted(tmp_path.glob("[ab].jpg"))
    same(load, small, squashed=False)
    mixed = load(sorted(tmp_path.iterdir()))  # Pillow's
    assert [picture.shape[0] for picture in mixed] == [64, 64, 128]


def test_what_dali_would_not_take_goes_to_pillow(load: PhotographLoader, tmp_path: Path) -> None:
    Image.open(PHOTOGRAPHS[0]).convert("LA").save(tmp_path / "grey.png")
    (picture,) = load([tmp_path / "grey.png"])
    np.testing.assert_array_equal(picture, load_image(tmp_path / "grey.png"))
    whole = PHOTOGRAPHS[0].read_bytes()
    damaged = {"cut.jpg": whole[:20_000], "text.jpg": b"\xff\xd8\xffno picture\xff\xd9"}
    damaged["hole.jpg"] = whole[:600] + bytes(len(whole) - 700) + whole[-100:]
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputRefused, match=name):
            load([PHOTOGRAPHS[0], tmp_path / name])
    same(load, PHOTOGRAPHS, squashed=True)  # as before


def test_few_pictures_are_loaded_one_by_one() -> None:
    assert picture_loader(SPEC, 3, "cpu") is None
    assert picture_loader(SPEC, 100, "cpu") is not None
    assert picture_loader(Preprocess((64, 64), None, np.zeros(3, np.float32)), 100, "cpu") is None
