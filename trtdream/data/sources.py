"""Where samples come from: the contract, and the two sources made of files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from trtdream.errors import InputRefused, UsageError
from trtdream.files import read_file

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


class Source(Protocol):
    """Numbered samples with labels. Reading one is safe from several threads."""

    @property
    def origin(self) -> Path:
        """The file or folder it was opened from."""

    @property
    def stored(self) -> Literal["encoded", "pixels"]:
        """What `content` gives: an image file's bytes, or pixels."""

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """C x H x W of every sample of a source of pixels; None where it is not known before decoding."""

    @property
    def labels(self) -> np.ndarray | None:
        """All labels (int64), where the source knows them without reading every sample."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What to call a sample in a message: its path or its key."""

    def content(self, index: int) -> tuple[np.ndarray, int]:
        """A sample and its label: uint8, the bytes of an image file, or C x H x W pixels (BGR).

        Raises:
            InputRefused: it cannot be read; the message names it.
        """


@dataclass(frozen=True)
class Listing:
    """Image files with labels: from a list file or from a folder per class."""

    origin: Path
    root: Path
    paths: tuple[str, ...]  # relative to root
    labels: np.ndarray  # int64
    classes: tuple[str, ...] = ()  # names by label, where known
    stored: Literal["encoded", "pixels"] = "encoded"
    shape: tuple[int, int, int] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        return self.paths[index]

    def content(self, index: int) -> tuple[np.ndarray, int]:
        path = self.root / self.paths[index]
        try:
            found = np.fromfile(path, np.uint8)
        except OSError as error:
            raise InputRefused(f"{path}: cannot be read ({error.strerror})") from error
        if not len(found):
            raise InputRefused(f"{path}: is empty (0 bytes)")
        return found, int(self.labels[index])


def read_list(path: Path, root: Path | None = None) -> Listing:
    """Caffe's list file: lines `path label`, split at the last space; paths relative to `root` (the list's folder).

    Raises:
        InputRefused: a line without a label, or the list is empty; the message names the line.
    """
    paths, labels = [], []
    for number, line in enumerate(read_file(path).decode(errors="surrogateescape").splitlines(), 1):
        if not line.strip():
            continue
        name, _, label = line.rstrip().rpartition(" ")
        if not name or not label.isdecimal():
            raise InputRefused(f"{path}, line {number}: is no `path label` with a label of 0 or more: {line[:80]!r}")
        paths.append(name)
        labels.append(int(label))
    if not paths:
        raise InputRefused(f"{path}: lists no image")
    return Listing(path, root or path.parent, tuple(paths), np.asarray(labels, np.int64))


def read_folder(folder: Path) -> Listing:
    """A folder per class: labels by ASCII order of the folder names, as Caffe's ILSVRC labels.

    A folder of images without class folders is one class, 0.

    Raises:
        InputRefused: no images, or images beside the class folders.
    """
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    loose = sorted(entry.name for entry in os.scandir(folder) if entry.is_file() and _is_image(entry.name))
    if classes and loose:
        raise InputRefused(f"{folder / loose[0]}: lies beside the class folders: move it into one, or away")
    if not classes:
        classes, found = [folder.resolve().name], [loose]
    else:
        found = [list(_images(folder, name)) for name in classes]
    if not any(found):
        raise InputRefused(f"{folder}: holds no image ({', '.join(SUFFIXES)})")
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(paths) for paths in found])
    return Listing(folder, folder, tuple(path for paths in found for path in paths), labels, tuple(classes))


def check_labels(source: Source, classes: int) -> None:
    """Raises InputRefused if a label known beforehand is outside 0..classes-1, naming the first such sample."""
    if source.labels is None:
        return
    outside = np.flatnonzero((source.labels < 0) | (source.labels >= classes))
    if len(outside):
        first = int(outside[0])
        raise InputRefused(
            f"{source.origin}: {len(outside)} labels are outside 0..{classes - 1}, the first is "
            f"{source.labels[first]} of {source.name(first)}: the net has {classes} classes"
        )


def fingerprint(source: Source) -> str:
    """A hash of the samples' names and number, by which a resumed run knows its data again."""
    digest = hashlib.sha256(str(len(source)).encode())
    for index in range(len(source)):
        digest.update(source.name(index).encode(errors="surrogateescape") + b"\n")
    if source.labels is not None:
        digest.update(np.ascontiguousarray(source.labels, "<i8").tobytes())
    return digest.hexdigest()


def open_source(path: Path, root: Path | None = None) -> Source:
    """A source by what lies at `path`: a list file, a folder per class, an LMDB or LevelDB, a packed set.

    Raises:
        UsageError: nothing lies there.
        InputRefused: what lies there is damaged or no source.
    """
    from trtdream.data.datums import open_leveldb, open_lmdb
    from trtdream.data.packed import INDEX, open_packed

    if not path.exists():
        raise UsageError(f"{path}: no such list file, folder, database or packed set")
    if path.is_file():
        return read_list(path, root)
    if (path / INDEX).exists():
        return open_packed(path)
    if (path / "data.mdb").exists():
        return open_lmdb(path)
    if (path / "CURRENT").exists():
        return open_leveldb(path)
    if (path / "plan.json").exists():
        raise InputRefused(f"{path}: is half a packed set: run the same `trtdream data pack` again to finish it")
    return read_folder(path)


def _images(folder: Path, name: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder / name):
        folders.sort()
        inside = Path(place).relative_to(folder).as_posix()
        yield from (f"{inside}/{file}" for file in sorted(files) if _is_image(file))


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
