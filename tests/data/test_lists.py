from __future__ import annotations

from pathlib import Path

import pytest

from trtdream.data.lists import split_folder
from trtdream.errors import InputRefused


def fill(folder: Path, **counts: int) -> None:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number:03d}.jpg").write_bytes(b"x")


def test_a_share_of_every_class(tmp_path: Path) -> None:
    fill(tmp_path, cat=100, dog=40, emu=2, fox=1)
    train, val = split_folder(tmp_path, 0.1, seed=0)
    assert [sum(label == wanted for _, label in val) for wanted in range(4)] == [10, 4, 1, 0]
    assert sorted(train + val) == sorted(
        (f"{name}/{number:03d}.jpg", label)
        for label, (name, count) in enumerate([("cat", 100), ("dog", 40), ("emu", 2), ("fox", 1)])
        for number in range(count)
    )
    assert split_folder(tmp_path, 0.1, seed=0) == (train, val)
    assert split_folder(tmp_path, 0.1, seed=1)[1] != val
    assert [path for path, _ in val[:10]] != [f"cat/{number:03d}.jpg" for number in range(10)]


def test_train_and_val_that_are_there_already(tmp_path: Path) -> None:
    fill(tmp_path / "train", a=3, b=2)
    fill(tmp_path / "val", a=1, b=1)
    train, val = split_folder(tmp_path, 0.1, seed=0)
    assert (len(train), val) == (5, [("val/a/000.jpg", 0), ("val/b/000.jpg", 1)])
    fill(tmp_path / "val", c=1)
    with pytest.raises(InputRefused, match="train and val have different classes: c"):
        split_folder(tmp_path, 0.1, seed=0)
