"""Files written whole or not at all, read with a clear message, and named by their hash."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trtdream.errors import InputRefused, TrtdreamError, UsageError


def read_file(path: Path) -> bytes:
    """The bytes of a file that must exist and hold something.

    Raises:
        UsageError: there is no such file.
        InputRefused: it is a folder, empty or unreadable.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file")
    if path.is_dir():
        raise InputRefused(f"{path}: is a folder, a file is wanted")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputRefused(f"{path}: cannot be read ({error.strerror})") from error
    if not content:
        raise InputRefused(f"{path}: is empty (0 bytes)")
    return content


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the place of `path` only if the block succeeds.

    The content reaches the disk before the name does, so that a crash leaves the old file or the new
    one, never a part.

    Raises:
        TrtdreamError: the folder cannot be written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise TrtdreamError(f"{path}: cannot be written ({error.strerror})") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        raise TrtdreamError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: Path, content: bytes | str) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def refuse_overwrite(path: Path, force: bool) -> None:
    """Raises UsageError if `path` exists and `force` was not given: said before any work is done."""
    if path.exists() and not force:
        raise UsageError(f"{path} exists already: give another name, or --force to replace it")


def sha256(content: bytes | Path) -> str:
    """The SHA-256 of bytes or of a file's content, as 64 hexadecimal digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
