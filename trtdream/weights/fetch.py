"""Official files fetched into the cache: whole, checked, and by one process at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trtdream import console
from trtdream.console import say
from trtdream.errors import InputRefused, TrtdreamError
from trtdream.files import replacing, write_file
from trtdream.weights.archive import members_of
from trtdream.weights.cache import (
    cache_folder,
    find_official,
    is_official,
    is_offline,
    mirror,
    sha1,
    stall_timeout,
)
from trtdream.weights.download import Download, NotAvailable, ReportBytes, discard, part_size, resumable_size
from trtdream.weights.official import OFFICIAL_URL, Official, OfficialArchive, official

_LOG_EVERY = 10.0  # seconds between lines where no bar can be drawn


def obtain(name: str, *, offline: bool = False, force: bool = False) -> Path:
    """The official file `name` on this machine, fetched if need be, with its progress on stderr.

    TRTDREAM_WEIGHTS, then the cache, then the network (cache.py has the environment's say). `force`
    fetches into the cache whatever lies there.

    Raises:
        NotAvailable: it is not here, and the network is forbidden or does not give it.
        InputRefused: what the network gave is not the official file.
        UsageError: no such name, or the environment is not usable.
        TrtdreamError: the disk is full or cannot be written to.
    """
    file, cache = official(name), cache_folder()
    if not force and (found := find_official(name)):
        return found
    if offline or is_offline():
        raise NotAvailable(
            f"{cache / file.place}: is not there, and the network is not to be used (--offline or "
            f"TRTDREAM_OFFLINE); run `trtdream fetch {name}` with it, or name a folder that has the file "
            "with TRTDREAM_WEIGHTS=DIR"
        )
    url, stall = mirror(), stall_timeout()
    with _shown(file.filename) as report:
        return fetch(file, cache, base_url=url, progress=report, stall=stall, force=force)


def fetch(
    file: Official,
    cache: Path,
    *,
    base_url: str = OFFICIAL_URL,
    progress: ReportBytes,
    stall: float = 30.0,
    waits: tuple[float, ...] = (1.0, 2.0, 4.0),
    force: bool = False,
) -> Path:
    """Download `file` from `base_url` into `cache`, unless the real one is there already; its path.

    Until its length and its SHA-1 (for an archive: its members) have been checked, it is called
    FILENAME.part, and a later run goes on from there. What is not the official file is removed.
    `stall` and `waits` are those of `Download`; `force` fetches anew and replaces what is there.

    Raises:
        NotAvailable, InputRefused, UsageError, TrtdreamError: as `obtain`.
    """
    final, part = cache / file.place, cache / f"{file.filename}.part"
    with _alone(cache / f".{file.filename}.lock", file.filename):
        if not force and is_official(file, final):
            return final
        download = Download(
            f"{base_url}/{file.filename}",
            part,
            limit=2 * file.about,
            report=progress,
            stall=stall,
            waits=waits,
        )
        if force:
            discard(part)
        try:
            _download_and_install(file, download, final)
        except KeyboardInterrupt:
            if resumable_size(part):
                say(f"interrupted: {_kept(file, part)}")
            raise
        except NotAvailable as error:
            raise NotAvailable(f"{error}; {_kept(file, part)}, TRTDREAM_MIRROR=URL asks elsewhere") from error
    return final


def _download_and_install(file: Official, download: Download, final: Path) -> None:
    try:
        resumed = download.run()
        try:
            _install(file, download.part, final)
        except InputRefused as error:
            if not resumed:
                raise
            say(f"{error}; it was put together from pieces: fetching it from the start")
            discard(download.part)
            download.run()
            _install(file, download.part, final)
    except InputRefused as error:
        discard(download.part)
        raise InputRefused(
            f"{download.url}: {error}; nothing of it was kept: `trtdream fetch {file.name}` tries again, "
            "TRTDREAM_MIRROR=URL asks elsewhere, TRTDREAM_WEIGHTS=DIR names a folder with a file of your own"
        ) from error


def _install(file: Official, part: Path, final: Path) -> None:
    """Check the downloaded `part` and give it, or its members, the final name."""
    if isinstance(file, OfficialArchive):
        for name, content in members_of(part, file).items():
            write_file(final / name, content)
        discard(part)
        return
    if (found := sha1(part)) != file.sha1:
        raise InputRefused(
            f"is not the official {file.filename} ({part_size(part)} bytes, SHA-1 {found}, not {file.sha1})"
        )
    with replacing(final) as temporary:
        part.replace(temporary)
    discard(part)


def _kept(file: Official, part: Path) -> str:
    size = resumable_size(part)
    kept = f"{size / 1e6:.1f} MB are kept, and " if size else ""
    return f"{kept}`trtdream fetch {file.name}` {'goes on from there' if size else 'tries again'}"


@contextmanager
def _alone(lock: Path, filename: str) -> Iterator[None]:
    """Hold the lock file: a second process waits for the first, then finds the file there."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise TrtdreamError(
            f"{lock.parent}: cannot be written ({error.strerror}); TRTDREAM_HOME=DIR puts the cache elsewhere"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{filename}: another process is fetching it; waiting for that one")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _shown(filename: str) -> Iterator[ReportBytes]:
    """Progress with the time left: a bar on a terminal, else a line now and then."""
    begun = said = time.monotonic()
    first = None

    def report(size: int, length: int | None) -> None:
        nonlocal said, first
        now = time.monotonic()
        first = size if first is None else min(first, size)
        bar.update(task, completed=size / 1e6, total=length / 1e6 if length else None)
        if bar.disable and now - said >= _LOG_EVERY:
            said = now
            left = f", {(length - size) * (now - begun) / (size - first):.0f} s left" if length and size > first else ""
            say(f"{filename}: {size / 1e6:.0f} MB{f' of {length / 1e6:.0f}' if length else ''}{left}")

    with console.progress() as bar:
        task = bar.add_task(f"{filename} (MB)", total=None)
        yield report
