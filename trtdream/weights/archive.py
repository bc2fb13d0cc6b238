"""An archive from the network, opened without trusting it."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import Path

from trtdream.errors import InputRefused
from trtdream.weights.official import OfficialArchive

_UNPACKED_LIMIT = 256 * 2**20  # bytes; the real archive holds less than half of it


def members_of(packed: Path, archive: OfficialArchive) -> dict[str, bytes]:
    """The checked content of every member that `archive` names, read from the .tar.gz file `packed`.

    Other plain files in it are left where they are. Nothing is written.

    Raises:
        InputRefused: it is damaged, unpacks to far too much, holds anything but plain files with plain
            names (a link, a path, a device), lacks a member, or a member is not what it should be.
    """
    wanted = {member.filename: member for member in archive.members}
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(packed)), mode="r:") as tar:
            for entry in tar:
                name = entry.name.removeprefix("./")
                if entry.isdir() and name in ("", "."):
                    continue
                plain = "/" not in name and name not in ("", ".", "..")
                if not (entry.isreg() and plain) or entry.issparse() or name in contents:
                    raise InputRefused(f"{archive.filename}: holds {entry.name!r}, which is no plain file")
                if name in wanted:
                    stream = tar.extractfile(entry)
                    assert stream is not None  # isreg() above
                    contents[name] = stream.read()
    except (tarfile.TarError, ValueError, OverflowError) as error:  # the latter from numbers in its headers
        raise InputRefused(f"{archive.filename}: is no readable .tar.gz ({error})") from error
    for name, member in wanted.items():
        if name not in contents:
            raise InputRefused(f"{archive.filename}: does not hold {name}")
        try:
            member.check(contents[name])
        except ValueError as error:
            raise InputRefused(f"{archive.filename}: its {name} {error}") from error
    return contents


def _unpacked(packed: Path) -> bytes:
    try:
        with gzip.open(packed) as stream:
            content = stream.read(_UNPACKED_LIMIT + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputRefused(f"{packed.name}: is no readable .tar.gz ({error})") from error
    if len(content) > _UNPACKED_LIMIT:
        raise InputRefused(f"{packed.name}: unpacks to more than {_UNPACKED_LIMIT // 2**20} MiB")
    return content
