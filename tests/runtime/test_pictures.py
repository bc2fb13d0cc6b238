"""Pictures named by files, folders and lists, and how often a classifier is right."""

from pathlib import Path

import pytest

from trtdream.errors import InputRefused, UsageError
from trtdream.runtime.accuracy import accuracy
from trtdream.runtime.pictures import Named, find_pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("frame10.jpg", "frame2.jpg", "sub/a.PNG", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"-")
    return tmp_path


def test_a_folder_is_sorted_as_a_person_would(folder: Path) -> None:
    found = [one.path.name for one in find_pictures([folder])]
    assert found == ["frame2.jpg", "frame10.jpg", "a.PNG"]


def test_a_list_has_labels_and_names_with_spaces(folder: Path) -> None:
    (folder / "a b.jpg").write_bytes(b"-")
    (folder / "list.txt").write_text("frame2.jpg 7\n\na b.jpg 0\nsub/a.PNG\n")
    assert find_pictures([folder / "list.txt", folder / "frame10.jpg"]) == [
        Named(folder / "frame2.jpg", 7),
        Named(folder / "a b.jpg", 0),
        Named(folder / "sub/a.PNG"),
        Named(folder / "frame10.jpg"),
    ]
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/list.txt").write_text("frame2.jpg 7\n")
    assert find_pictures([folder / "elsewhere/list.txt"], root=folder) == [Named(folder / "frame2.jpg", 7)]


def test_faults(folder: Path) -> None:
    (folder / "list.txt").write_text("frame2.jpg 7\n" + "".join(f"none{i}.jpg 1\n" for i in range(7)))
    with pytest.raises(InputRefused, match=r"line 2: no file 'none0\.jpg'.*line 6.* and 2 more"):
        find_pictures([folder / "list.txt"])
    with pytest.raises(UsageError, match="no such file"):
        find_pictures([folder / "missing"])
    (folder / "empty").mkdir()
    with pytest.raises(UsageError, match="no picture in"):
        find_pictures([folder / "empty"])


def test_accuracy() -> None:
    seen = [[3, 1, 2, 4, 5], [1, 3, 2, 4, 5], [2, 4, 5, 6, 7], [1, 2, 3, 4, 5]]
    found = accuracy(seen, [3, 3, 3, None])
    assert found is not None
    assert (found.pictures, found.top1, found.top5) == (3, pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert set(found.confusions) == {(3, 1, 1), (3, 2, 1)}
    assert accuracy(seen, [None] * 4) is None
