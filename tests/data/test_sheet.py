from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trtdream.caffe.mean import write_mean
from trtdream.data.feed import Feed
from trtdream.data.loader import Loader
from trtdream.data.mean import mean_image
from trtdream.data.sheet import captions, seen, write_sheet
from trtdream.data.sources import open_source
from trtdream.data.transform import Transform


@pytest.mark.parametrize("kind", ["image", "values"])
def test_what_is_shown_are_the_pictures_own_pixels(packed: Path, tmp_path: Path, kind: str) -> None:
    """Each cell is one crop of its picture, mirrored or not: the mean is added back at the right place."""
    source = open_source(packed)
    write_mean(tmp_path / "mean.npy", mean_image(source, Transform(), 1))
    mean = {"mean_file": tmp_path / "mean.npy"} if kind == "image" else {"mean_value": (104.0, 117.0, 123.0)}
    transform = Transform(size=48, crop=45, mirror=True, scale=0.5, **mean)
    with Loader(source, transform, Feed(20, seed=1)) as loader:
        next(loader)
        batch = next(loader)
        shown = seen(loader, batch)
    mirrors = set()
    for cell, index in zip(shown, batch.indices, strict=True):
        whole = source.content(int(index))[0].transpose(1, 2, 0)[:, :, ::-1]
        found = [
            mirror
            for y in range(4)
            for x in range(4)
            for mirror in (1, -1)
            if np.array_equal(cell, whole[y : y + 45, x : x + 45][:, ::mirror])
        ]
        assert found
        mirrors.update(found)
    assert mirrors == {1, -1}


def test_sheet(photos: Path, tmp_path: Path) -> None:
    source = open_source(photos / "train")
    with Loader(source, Transform(size=48), Feed(7, shuffle=False)) as loader:
        batch = next(loader)
        pixels, texts = seen(loader, batch), captions(source, batch)
    assert texts[0] == "0 00_disc_rows"
    for name in ("sheet.png", "sheet.jpg"):
        write_sheet(tmp_path / name, pixels, texts, 3, {"seed": 9})
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.size == (3 * 54 + 6, 3 * 68 + 6)
    cells = np.asarray(sheet)
    assert np.array_equal(cells[6 : 6 + 48, 6 + 54 : 6 + 54 + 48], pixels[1])
    assert np.array_equal(cells[6 + 68 : 6 + 68 + 48, 6:54], pixels[3])
    note = json.loads(sheet.text["trtdream"])
    assert note["seed"] == 9
    assert json.loads(Image.open(tmp_path / "sheet.jpg").getexif()[0x010E]) == note
