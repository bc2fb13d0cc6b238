"""A corpus of everything that goes wrong with picture files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trtdream.data.headers import broken_bytes, broken_file
from trtdream.data.lists import write_list
from trtdream.data.scan import check_headers, good, scan
from trtdream.data.sources import open_source
from trtdream.errors import InputRefused

PICTURE = Image.fromarray(np.random.RandomState(3).randint(0, 256, (60, 80, 3)).astype(np.uint8))


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


JPEG = encoded(PICTURE, "JPEG")
PNG = encoded(PICTURE, "PNG")
WITH_THUMBNAIL = JPEG[:2] + b"\xff\xe1\x00\x10" + b"thumb\xff\xd8\xff\xda..\xff\xd9" + JPEG[2:]
CORPUS = {  # name -> content and the fault that must be found
    "fine.jpg": (JPEG, None),
    "grey.jpg": (encoded(PICTURE.convert("L"), "JPEG"), None),
    "progressive.jpeg": (encoded(PICTURE, "JPEG", progressive=True), None),
    "appended.jpg": (JPEG + b"camera maker's notes", None),
    "fine.png": (PNG, None),
    "empty.jpg": (b"", "broken"),
    "cut.jpg": (JPEG[:-200], "broken"),
    "cut_with_thumbnail.jpg": (WITH_THUMBNAIL[:-200], "broken"),
    "page.jpg": (b"<html><body>404 not found</body></html>", "broken"),
    "animation.jpg": (encoded(PICTURE, "GIF"), "broken"),
    "headerless.jpg": (b"\xff\xd8\xff\xe0 nothing in here \xff\xd9", "broken"),
    "really_a_png.jpg": (PNG, "misnamed"),
    "really_a_jpeg.png": (JPEG, "misnamed"),
    "printed.jpg": (encoded(PICTURE.convert("CMYK"), "JPEG"), "CMYK"),
    "deep.png": (encoded(Image.fromarray(np.arange(6400, dtype=np.uint16).reshape(80, 80)), "PNG"), "16-bit"),
    "poster.png": (encoded(Image.new("1", (12_000, 9_000)), "PNG"), "huge"),
    "wall.png": (encoded(Image.new("1", (20_000, 9_500)), "PNG"), "huge"),
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for name, (content, _) in CORPUS.items():
        (tmp_path / name).write_bytes(content)
    write_list(tmp_path / "list.txt", [(name, 0) for name in CORPUS] + [("missing.jpg", 0)])
    return tmp_path / "list.txt"


def test_every_fault_is_found_and_nothing_else(corpus: Path) -> None:
    source = open_source(corpus)
    faults = scan(source, None, 1)
    wanted = {name: kind for name, (_, kind) in CORPUS.items() if kind} | {"missing.jpg": "broken"}
    assert {fault.name: fault.kind for fault in faults} == wanted
    fine = {source.name(index) for index in good(source, faults)}
    assert fine == {name for name, (_, kind) in CORPUS.items() if kind is None}
    details = {fault.name: fault.detail for fault in faults}
    assert details["empty.jpg"] == "is empty (0 bytes)"
    assert details["really_a_png.jpg"] == "is PNG, whatever its name says"
    assert "cannot be read (No such file" in details["missing.jpg"]


def test_labels_and_duplicates(corpus: Path) -> None:
    write_list(corpus, [("fine.jpg", 0), ("grey.jpg", 10), ("fine.png", 9), ("fine.jpg", 3)])
    faults = scan(open_source(corpus), 10, 1)
    assert [(fault.index, fault.kind) for fault in faults] == [(1, "label"), (3, "duplicate")]
    assert faults[0].detail == "has the label 10, outside 0..9"


def test_deep_finds_what_headers_do_not_tell(tmp_path: Path) -> None:
    cut_inside = PNG[: len(PNG) // 2]
    (tmp_path / "half.png").write_bytes(cut_inside)
    (tmp_path / "whole.png").write_bytes(PNG)
    source = open_source(tmp_path)
    assert scan(source, None, 1) == []
    assert [fault.name for fault in scan(source, None, 1, deep=True)] == ["half.png"]


def test_in_parallel_it_finds_the_same(corpus: Path) -> None:
    """Two processes over 1,100 lines: the corpus at both ends."""
    names = [*CORPUS, *["fine.jpg"] * 1100, *CORPUS]
    write_list(corpus, [(name, 0) for name in names])
    source = open_source(corpus)
    counts: list[int] = []
    alone, together = scan(source, None, 1), scan(source, None, 2, advance=counts.append)
    assert alone == together
    assert sum(counts) == len(names)


def test_databases(databases: dict[str, Path]) -> None:
    """Pictures inside an LMDB, whose labels are known only by reading them."""
    for kind in ("raw", "encoded"):
        assert scan(open_source(databases[kind]), None, 2) == []
    assert {fault.kind for fault in scan(open_source(databases["raw"]), 4, 2)} == {"label"}


def test_what_training_looks_at_first(corpus: Path) -> None:
    source = open_source(corpus)
    bad = check_headers(source, "skip", 4)
    names = {source.name(index) for index in bad}
    certain = {"empty.jpg", "cut.jpg", "cut_with_thumbnail.jpg", "page.jpg", "animation.jpg", "missing.jpg"}
    assert names == certain
    with pytest.raises(InputRefused, match=r"6 of 18 samples cannot be decoded: empty.jpg: is empty"):
        check_headers(source, "stop", 4)


def test_broken_says_why(tmp_path: Path) -> None:
    assert broken_bytes(JPEG) is None
    assert broken_bytes(WITH_THUMBNAIL) is None
    assert broken_bytes(JPEG[:-2]) == "is a JPEG cut short (no end-of-image marker)"
    assert broken_file(tmp_path) == "cannot be read (Is a directory)"
