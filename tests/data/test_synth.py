from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trtdream.data.feed import Feed
from trtdream.data.loader import Loader
from trtdream.data.scan import scan
from trtdream.data.sources import open_source, read_folder
from trtdream.data.synth import MOST_CLASSES, class_name, draw, synthesise
from trtdream.data.transform import Transform
from trtdream.errors import UsageError


def test_the_same_for_ever(tmp_path: Path) -> None:
    """Two runs write the same bytes; the pixels of three pictures are those of the day they were designed."""
    for name in ("one", "two"):
        synthesise(tmp_path / name, 3, 6, 3, 32)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 6 + 3 + 2
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in files)
    assert [int(draw(label, 5, 64).sum(dtype=np.int64)) for label in (0, 7, 12)] == SUMS


SUMS = [1412984, 1476984, 1471806]


def test_every_class_is_another_shape_with_another_texture() -> None:
    names = [class_name(label).split("_", 1)[1] for label in range(MOST_CLASSES)]
    assert len(set(names)) == MOST_CLASSES == 40
    assert sorted(class_name(label) for label in range(40)) == [class_name(label) for label in range(40)]


def test_folders_and_lists_agree(photos: Path) -> None:
    listed, folder = open_source(photos / "train.txt"), read_folder(photos / "train")
    labels = {f"train/{path}": label for path, label in zip(folder.paths, folder.labels, strict=True)}
    assert {listed.name(index): listed.content(index)[1] for index in range(50)} == labels
    assert scan(listed, 5, 1) == []


def test_training_and_validation_pictures_differ(photos: Path) -> None:
    def pixels(name: str) -> np.ndarray:
        with Loader(open_source(photos / name), Transform(size=48), Feed(5, shuffle=False)) as loader:
            return next(loader).data.numpy()

    assert np.abs(pixels("train.txt") - pixels("val.txt")).mean(axis=(1, 2, 3)).min() > 5


def test_too_many_classes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="between 2 and 40"):
        synthesise(tmp_path, 41, 100, 100, 32)
    with pytest.raises(UsageError, match="at least one per class"):
        synthesise(tmp_path, 10, 100, 9, 32)
    assert not list(tmp_path.iterdir())
