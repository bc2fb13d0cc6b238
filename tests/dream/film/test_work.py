import json
from pathlib import Path

import pytest
from PIL import Image

from tests.dream.tiny import waves
from trtdream.dream.film.work import STATE, Work
from trtdream.errors import InputRefused, UsageError


def test_goes_on_where_it_was_left(tmp_path: Path) -> None:
    work = Work(tmp_path / "out", {"step": 1.5})
    work.begin()
    assert not work.done("a.png")
    work.save("a.png", waves(), {})
    again = Work(tmp_path / "out", {"step": 1.5})
    again.begin()
    assert again.done("a.png")
    assert not again.done("b.png")


def test_other_work_is_refused_and_only_its_own_pictures_go(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    Work(folder, {"step": 1.5, "seed": 0}).begin()
    Work(folder, {"step": 1.5, "seed": 0}).save("a.png", waves(), {})
    Image.new("RGB", (9, 9)).save(folder / "mine.png")
    other = Work(folder, {"step": 2.5, "seed": 0})
    with pytest.raises(UsageError, match=r"another step; .*--force"):
        other.begin()
    other.begin(force=True)
    assert not (folder / "a.png").exists()
    assert (folder / "mine.png").exists()
    assert json.loads((folder / STATE).read_text())["step"] == 2.5


def test_other_things_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="other things"):
        Work(tmp_path, {}).begin()
    (tmp_path / STATE).write_text("{")
    with pytest.raises(InputRefused, match="no state"):
        Work(tmp_path, {}).begin()


def test_names_that_no_picture_can_be_written_as(tmp_path: Path) -> None:
    work = Work(tmp_path, {})
    assert work.path("sub/a.bmp") == tmp_path / "sub/a.bmp.png"
    assert work.path("a.jpg") == tmp_path / "a.jpg"
