"""The first and last bytes of image files: enough to tell in microseconds what certainly cannot be decoded."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

# What DALI decodes, by the first bytes of the file.
MAGIC = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "BMP": (b"BM",),
    "TIFF": (b"II*\0", b"MM\0*"),
    "WebP": (b"RIFF",),
    "JPEG 2000": (b"\0\0\0\x0cjP  ", b"\xffO\xffQ"),
    "PNM": (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"),
}
SUFFIX_OF = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WebP"}
SUFFIX_OF |= {".tif": "TIFF", ".tiff": "TIFF", ".ppm": "PNM", ".pgm": "PNM"}
_END_OF_IMAGE, _START_OF_SCAN = b"\xff\xd9", b"\xff\xda"


def kind_of(head: bytes) -> str | None:
    """The format that a file's first bytes belong to, None for none that DALI decodes."""
    for kind, beginnings in MAGIC.items():
        if head.startswith(beginnings) and (kind != "WebP" or head[8:12] == b"WEBP"):
            return kind
    return None


def broken(stream: BinaryIO) -> str | None:
    """Why a seekable stream holds no whole image, as far as its first and last bytes tell; None when they are right."""
    head = stream.read(12)
    if not head:
        return "is empty (0 bytes)"
    kind = kind_of(head)
    if kind is None:
        return f"is no image that can be decoded (it begins with {head[:8]!r})"
    if kind == "JPEG" and not _jpeg_ends(stream):
        return "is a JPEG cut short (no end-of-image marker)"
    return None


def broken_file(path: Path) -> str | None:
    """`broken` of a file; also when it cannot be opened."""
    try:
        with path.open("rb") as stream:
            return broken(stream)
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def broken_bytes(content: bytes) -> str | None:
    """`broken` of bytes."""
    return broken(io.BytesIO(content))


def _jpeg_ends(stream: BinaryIO) -> bool:
    stream.seek(-2, os.SEEK_END)
    if stream.read(2) == _END_OF_IMAGE:
        return True
    # Cameras append things after the image; a thumbnail's own end comes before the picture's scan.
    stream.seek(0)
    content = stream.read()
    return content.rfind(_END_OF_IMAGE) > content.rfind(_START_OF_SCAN)
