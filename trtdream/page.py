"""One self-contained HTML page from typed parts: no script, no request to anywhere, everything escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from trtdream.errors import InputRefused
from trtdream.files import read_file, write_file

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --faint: #8881; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; margin: 2rem 0 .5rem; }
h1 { margin-top: .5rem; }
p { max-width: 46rem; overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
figure.wide { overflow-x: auto; }
img { background: #fff; border-radius: .3rem; height: auto; max-width: 100%; }
.grid { display: grid; gap: .5rem; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
.grid figure { margin: 0; overflow-wrap: anywhere; }
.grid img { width: 100%; }
figcaption { font-size: .9rem; opacity: .75; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .8rem .2rem 0; text-align: left; white-space: nowrap; }
th.right, td.right { text-align: right; }
pre { background: var(--faint); border-radius: .3rem; font-size: .85rem; overflow-x: auto; padding: .6rem; }
"""
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"<?xml": "image/svg+xml",
    b"<svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Heading:
    """level 2 for a section, 3 for what is within one; the title is the page's only level 1."""

    text: str
    level: int = 2

    def html(self) -> str:
        return f"<h{self.level}>{escape(self.text)}</h{self.level}>"


@dataclass(frozen=True)
class Paragraph:
    text: str

    def html(self) -> str:
        return f"<p>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Table:
    """Rows of cells under their columns; those named in `right` are right-aligned, as numbers are."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[str] = ()
    caption: str = ""

    def html(self) -> str:
        """Raises ValueError if a row has not as many cells as there are columns."""
        head = self._row("th", self.columns)
        body = "\n".join(self._row("td", row) for row in self.rows)
        table = f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
        return f'<figure class="wide">\n{table}{_caption(self.caption)}</figure>'

    def _row(self, tag: str, cells: Sequence[str]) -> str:
        aligned = [' class="right"' if column in self.right else "" for column in self.columns]
        pairs = zip(cells, aligned, strict=True)
        return f"<tr>{''.join(f'<{tag}{align}>{escape(cell)}</{tag}>' for cell, align in pairs)}</tr>"


@dataclass(frozen=True)
class Picture:
    """A PNG, JPEG or SVG, as bytes or a file, which becomes part of the page.

    alt says what is to be seen, for who cannot see it.
    """

    content: bytes | Path
    alt: str
    caption: str = ""

    def html(self) -> str:
        """Raises InputRefused or UsageError if the file is missing, or is no picture that a page can hold."""
        content = read_file(self.content) if isinstance(self.content, Path) else self.content
        source = f"data:{_media_type(content, self.content)};base64,{base64.b64encode(content).decode()}"
        return f'<figure><img src="{source}" alt="{escape(self.alt)}">{_caption(self.caption)}</figure>'


@dataclass(frozen=True)
class Grid:
    """Pictures side by side, as many in a row as there is room for."""

    pictures: Sequence[Picture]

    def html(self) -> str:
        """Raises: as `Picture.html`."""
        figures = "\n".join(picture.html() for picture in self.pictures)
        return f'<div class="grid">\n{figures}\n</div>'


@dataclass(frozen=True)
class Preformatted:
    """Text as it stands: a command's output, a file."""

    text: str

    def html(self) -> str:
        return f"<pre>{escape(self.text)}</pre>"


Part = Heading | Paragraph | Table | Picture | Grid | Preformatted


def page(title: str, parts: Iterable[Part]) -> str:
    """The HTML document."""
    body = "\n".join(part.html() for part in parts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""


def write_page(path: Path, title: str, parts: Iterable[Part]) -> None:
    """Write the document whole or not at all.

    Raises:
        InputRefused, UsageError: a picture that cannot be read; nothing is written.
        TrtdreamError: the file cannot be written.
    """
    write_file(path, page(title, parts))


def _caption(text: str) -> str:
    return f"<figcaption>{escape(text)}</figcaption>" if text else ""


def _media_type(content: bytes, origin: bytes | Path) -> str:
    for signature, media_type in _SIGNATURES.items():
        if content.startswith(signature):
            return media_type
    name = origin if isinstance(origin, Path) else "a picture"
    raise InputRefused(f"{name}: is neither PNG, JPEG nor SVG, which a page can hold")
