"""Caffe's databases, LMDB and LevelDB, as sources."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any, Literal, Protocol
from weakref import WeakValueDictionary

import numpy as np

from trtdream.caffe.datum import Datum, read_datum
from trtdream.caffe.lmdb import Lmdb
from trtdream.errors import InputRefused, TrtdreamError


class Store(Protocol):
    """A database of Datums."""

    path: Path
    keys: list[bytes]

    def value(self, key: bytes) -> memoryview: ...


class Datums:
    """The samples of a Caffe database, in the order of its keys. Labels are known as samples are read."""

    labels: np.ndarray | None = None

    def __init__(self, store: Store) -> None:
        """Take the first Datum's kind as that of all; another kind later is refused by name."""
        self._store = store
        self._lock = Lock()  # a transaction is for one thread at a time
        self.origin = store.path
        first = self._datum(0)
        self.stored: Literal["encoded", "pixels"] = "encoded" if first.encoded else "pixels"
        self.shape = None if first.encoded else (first.channels, first.height, first.width)

    def __len__(self) -> int:
        return len(self._store.keys)

    def name(self, index: int) -> str:
        return self._store.keys[index].decode(errors="surrogateescape")

    def content(self, index: int) -> tuple[np.ndarray, int]:
        datum = self._datum(index)
        origin = f"{self.origin}, key {self.name(index)}"
        if datum.encoded != (self.stored == "encoded"):
            raise InputRefused(f"{origin}: the database mixes raw and encoded Datums")
        if datum.encoded:
            if not datum.data:
                raise InputRefused(f"{origin}: holds no bytes")
            return np.frombuffer(datum.data, np.uint8), datum.label
        pixels = datum.pixels(origin)
        if pixels.shape != self.shape:
            raise InputRefused(
                f"{origin}: is {pixels.shape}, the first sample is {self.shape}: raw Datums must have one size "
                "(convert_imageset -resize_height -resize_width)"
            )
        return pixels, datum.label

    def _datum(self, index: int) -> Datum:
        key = self._store.keys[index]
        with self._lock:
            return read_datum(self._store.value(key), f"{self._store.path}, key {key!r}")


class _LevelDb:
    def __init__(self, path: Path) -> None:
        try:
            import plyvel
        except ImportError as error:
            raise TrtdreamError(f"{path}: reading LevelDB needs a package: pip install 'trtdream[leveldb]'") from error
        self.path = path
        try:
            self._database: Any = plyvel.DB(str(path), create_if_missing=False)
            self.keys = list(self._database.iterator(include_value=False))
        except plyvel.Error as error:
            raise InputRefused(f"{path}: is no LevelDB, is damaged, or is in use ({error})") from error
        if not self.keys:
            raise InputRefused(f"{path}: is a LevelDB without a sample")

    def value(self, key: bytes) -> memoryview:
        return memoryview(self._database.get(key))


_open_leveldbs: WeakValueDictionary[Path, _LevelDb] = WeakValueDictionary()
"""Those of this process: a solver's nets for training and testing may name the same one."""


def open_lmdb(path: Path) -> Datums:
    """Caffe's LMDB as a source. Raises InputRefused if it is damaged, empty or not of pictures."""
    return Datums(Lmdb(path))


def open_leveldb(path: Path) -> Datums:
    """Caffe's LevelDB as a source. One process at a time can open one; where it is open here already, that one is read.

    Raises:
        TrtdreamError: plyvel is not installed.
        InputRefused: it is damaged, empty or not of pictures.
    """
    known = _open_leveldbs.get(path.resolve())
    if known is None:
        known = _open_leveldbs[path.resolve()] = _LevelDb(path)
    return Datums(known)
