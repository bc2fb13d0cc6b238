from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

import pytest

from trtdream.errors import InputRefused, UsageError
from trtdream.page import Heading, Paragraph, Picture, Preformatted, Table, page, write_page

PICTURE = Path(__file__).resolve().parents[1] / "scripts/pictures/chelsea_dream.jpg"
NASTY = """<script>alert("1 & 'x'")</script>"""


class Reader(HTMLParser):
    """Tags with their attributes, and the text, as a browser would take them."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_all_text_is_escaped() -> None:
    parts = [
        Heading(NASTY),
        Paragraph(NASTY),
        Table([NASTY], [[NASTY]], caption=NASTY),
        Picture(PICTURE, NASTY, NASTY),
        Preformatted(NASTY),
    ]
    reader = Reader(page(NASTY, parts))
    assert reader.of("script") == []
    assert reader.text.count(NASTY) == 9  # the title twice
    assert reader.of("img")[0]["alt"] == NASTY


def test_pictures_are_within() -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    found = Reader(page("t", [Picture(PICTURE, "a cat"), Picture(svg, "nothing")])).of("img")
    for each, media_type, content in zip(
        found, ("image/jpeg", "image/svg+xml"), (PICTURE.read_bytes(), svg), strict=True
    ):
        head, _, data = str(each["src"]).partition(",")
        assert head == f"data:{media_type};base64"
        assert base64.b64decode(data) == content


def test_right_aligned_columns() -> None:
    reader = Reader(page("t", [Table(("layer", "ms"), [("conv1", "1.5")], right=("ms",))]))
    assert [each.get("class") for each in reader.of("td")] == [None, "right"]
    assert [each.get("class") for each in reader.of("th")] == [None, "right"]


def test_a_row_of_another_length_is_a_fault() -> None:
    with pytest.raises(ValueError, match="zip"):
        page("t", [Table(("a", "b"), [("1",)])])


def test_a_picture_that_is_none_leaves_the_old_page(tmp_path: Path) -> None:
    path, text = tmp_path / "page.html", tmp_path / "text.png"
    write_page(path, "first", [])
    text.write_text("no picture")
    for picture, error in ((text, InputRefused), (tmp_path / "none.png", UsageError), (b"GIF89a", InputRefused)):
        with pytest.raises(error):
            write_page(path, "second", [Picture(picture, "")])
    assert "<h1>first</h1>" in path.read_text()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["page.html", "text.png"]
