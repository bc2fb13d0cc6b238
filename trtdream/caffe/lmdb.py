"""Caffe's LMDB: Datums under keys in ASCII order."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trtdream.errors import InputRefused, TrtdreamError

_MARGIN = 1 << 20  # LMDB's own pages beside the Datums


class Lmdb:
    """A database opened for reading: its keys, and the value of each."""

    def __init__(self, path: Path) -> None:
        """Open the folder `path`.

        Raises:
            InputRefused: it is no LMDB, is damaged, or is empty.
        """
        import lmdb

        self.path = path
        try:
            self._environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
            # one reading transaction for good: its views into the map stay valid
            self._transaction: Any = self._environment.begin(buffers=True)
            self.keys = [bytes(key) for key in self._transaction.cursor().iternext(values=False)]
        except lmdb.Error as error:
            raise InputRefused(f"{path}: is no LMDB, or is damaged ({error})") from error
        if not self.keys:
            raise InputRefused(f"{path}: is an LMDB without a sample")

    def value(self, key: bytes) -> memoryview:
        """The value of a key that is there: a view into the memory map."""
        import lmdb

        try:
            return memoryview(self._transaction.get(key))
        except lmdb.Error as error:
            raise InputRefused(f"{self.path}, key {key!r}: cannot be read ({error})") from error


def caffe_key(index: int, name: str) -> bytes:
    """convert_imageset's key: the line's index in eight digits and the path of the list."""
    return f"{index:08d}_{name}".encode(errors="surrogateescape")


def write_lmdb(path: Path, values: Iterable[tuple[bytes, bytes]], bytes_expected: int) -> None:
    """Write a new LMDB that Caffe reads, whole or not at all; keys must come in ASCII order.

    Raises:
        TrtdreamError: the disk is full, or the folder cannot be written to.
    """
    import lmdb

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        # each Datum takes whole pages of 4096 bytes
        environment = lmdb.open(str(temporary), map_size=bytes_expected * 2 + _MARGIN, lock=False)
        transaction = environment.begin(write=True)
        for count, (key, value) in enumerate(values, 1):
            transaction.put(key, value, append=True)
            if count % 1000 == 0:  # convert_imageset's rhythm
                transaction.commit()
                transaction = environment.begin(write=True)
        transaction.commit()
        environment.sync(True)
        environment.close()
        temporary.chmod(0o755)
        temporary.rename(path)
    except (lmdb.Error, OSError) as error:
        raise TrtdreamError(f"{path}: the LMDB cannot be written ({error}); nothing was left") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
