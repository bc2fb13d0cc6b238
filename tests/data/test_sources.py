from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from trtdream.caffe.datum import encoded_datum, raw_datum
from trtdream.caffe.lmdb import write_lmdb
from trtdream.data.feed import Feed
from trtdream.data.loader import Loader
from trtdream.data.sources import Listing, fingerprint, open_source, read_folder
from trtdream.data.transform import Transform
from trtdream.errors import InputRefused, UsageError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_a_list_is_split_at_the_last_space(tmp_path: Path) -> None:
    touch(tmp_path, "my photo 1.jpg", "b.jpg")
    (tmp_path / "list.txt").write_text("my photo 1.jpg 12\n\nb.jpg 0\r\n")
    source = open_source(tmp_path / "list.txt")
    assert [source.name(index) for index in range(len(source))] == ["my photo 1.jpg", "b.jpg"]
    assert source.content(0)[1] == 12
    assert source.content(1)[0].tobytes() == b"x"


def test_a_lists_root(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "a.jpg")
    (tmp_path / "list.txt").write_text("a.jpg 0\n")
    assert open_source(tmp_path / "list.txt", tmp_path / "elsewhere").content(0)[0].tobytes() == b"x"
    with pytest.raises(InputRefused, match=r"a.jpg: cannot be read \(No such file"):
        open_source(tmp_path / "list.txt").content(0)


@pytest.mark.parametrize("line", ["a.jpg", "a.jpg one", "a.jpg -1", "a.jpg 1.5", " 3"])
def test_a_line_without_a_label_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.txt").write_text(f"fine.jpg 0\n{line}\n")
    with pytest.raises(InputRefused, match=r"list.txt, line 2: is no `path label`"):
        open_source(tmp_path / "list.txt")


def test_a_folder_per_class_in_ascii_order(tmp_path: Path) -> None:
    """Upper case before lower case, 10 before 9: as Caffe's lists have ILSVRC's synsets."""
    touch(tmp_path, "b/2.jpg", "b/1.JPG", "B/x.png", "10/deep/er.jpeg", "9/a.webp", "9/notes.txt", ".git/a.jpg")
    source = read_folder(tmp_path)
    assert source.classes == ("10", "9", "B", "b")
    assert source.paths == ("10/deep/er.jpeg", "9/a.webp", "B/x.png", "b/1.JPG", "b/2.jpg")
    assert source.labels.tolist() == [0, 1, 2, 3, 3]


def test_caffes_labels_of_ilsvrc(shared: Path) -> None:
    """The folders of imagenette-mini get the labels 0..9 that its list gives them."""
    root = shared / "imagenette-mini"
    folder, listed = read_folder(root / "train"), open_source(root / "train.txt", root / "train")
    assert isinstance(listed, Listing)
    by_name = dict(zip(folder.paths, folder.labels, strict=True))
    assert len(folder) == len(listed) == 1000
    assert all(by_name[path] == label for path, label in zip(listed.paths, listed.labels, strict=True))


def test_a_folder_of_photographs_is_one_class(tmp_path: Path) -> None:
    touch(tmp_path / "holiday", "b.jpg", "a.jpg")
    source = read_folder(tmp_path / "holiday")
    assert (source.classes, source.paths, source.labels.tolist()) == (("holiday",), ("a.jpg", "b.jpg"), [0, 0])


def test_folders_that_are_no_source(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such list file"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(InputRefused, match="holds no image"):
        open_source(tmp_path)
    touch(tmp_path, "class/a.jpg", "loose.jpg")
    with pytest.raises(InputRefused, match=r"loose.jpg: lies beside the class folders"):
        open_source(tmp_path)


def test_fingerprints_differ_by_name_order_and_label(tmp_path: Path) -> None:
    texts = ["a 0\nb 1\n", "b 1\na 0\n", "a 0\nb 2\n", "a 0\nc 1\n", "a 0\n"]
    prints = set()
    for text in texts:
        (tmp_path / "list.txt").write_text(text)
        prints.add(fingerprint(open_source(tmp_path / "list.txt")))
    assert len(prints) == len(texts)


def test_a_database_of_two_kinds_is_refused_by_key(tmp_path: Path) -> None:
    pixels = np.zeros((3, 8, 8), np.uint8)
    for name, odd, message in (
        ("mixed", encoded_datum(b"jpeg", 1), "mixes raw and encoded"),
        ("sizes", raw_datum(pixels[:, 1:], 1), "raw Datums must have one size"),
    ):
        write_lmdb(tmp_path / name, [(b"00000000_a", raw_datum(pixels, 0)), (b"00000001_b", odd)], 1000)
        loader = Loader(open_source(tmp_path / name), Transform(), Feed(2, shuffle=False))
        with loader, pytest.raises(InputRefused, match=f"key 00000001_b: .*{message}"):
            next(loader)


def test_leveldb(databases: dict[str, Path], packed: Path, tmp_path: Path) -> None:
    """The same Datums in a LevelDB: packing gives the same pixels and labels, loading the same batches."""
    plyvel = pytest.importorskip("plyvel", reason="LevelDB needs plyvel")
    from trtdream.caffe.lmdb import Lmdb
    from trtdream.data.pack import Packing, pack
    from trtdream.data.packed import open_packed

    lmdb = Lmdb(databases["raw"])
    database = plyvel.DB(str(tmp_path / "leveldb"), create_if_missing=True)
    for key in lmdb.keys:
        database.put(key, bytes(lmdb.value(key)))
    database.close()
    source = open_source(tmp_path / "leveldb")
    assert pack(source, tmp_path / "set", Packing(Transform())) == (50, ())
    made, wanted = open_packed(tmp_path / "set"), open_packed(packed)
    for index in range(50):
        assert np.array_equal(made.content(index)[0], wanted.content(index)[0])
        assert made.content(index)[1] == wanted.content(index)[1]
    with (
        Loader(source, Transform(), Feed(8)) as one,
        Loader(open_source(tmp_path / "leveldb"), Transform(), Feed(8)) as two,
        Loader(open_source(databases["raw"]), Transform(), Feed(8)) as other,
    ):
        for batch, same, expected in islice(zip(one, two, other, strict=True), 8):
            assert torch.equal(batch.data, expected.data) and torch.equal(batch.label, expected.label)
            assert torch.equal(same.data, expected.data)
    with pytest.raises(UsageError, match="LevelDB can be opened by one process only: pack it"):
        Loader(source, Transform(), Feed(4, world_size=2))


def test_a_damaged_leveldb(tmp_path: Path) -> None:
    pytest.importorskip("plyvel", reason="LevelDB needs plyvel")
    (tmp_path / "CURRENT").write_text("MANIFEST-000009\n")
    with pytest.raises(InputRefused, match="is no LevelDB, is damaged, or is in use"):
        open_source(tmp_path)
