"""One URL brought to one file, through a network that cuts, stalls and changes its mind."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from trtdream import __version__
from trtdream.console import say
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.files import write_file

ReportBytes = Callable[[int, int | None], None]  # bytes so far, bytes in all if the server said so

_CHUNK = 256 * 2**10


class NotAvailable(TrtdreamError):
    """The network, or the rule not to use it, stands between us and a file. Exit code 1."""


@dataclass(frozen=True)
class Download:
    """What to fetch, where to, and how patiently.

    `part` grows as bytes come in; beside it `PART.json` names the version (ETag or Last-Modified, and
    length) that the bytes are of, so that a later run, or the next attempt, can go on from there.
    """

    url: str
    part: Path
    limit: int  # bytes; more than this cannot be the file
    report: ReportBytes
    stall: float = 30.0  # seconds without a byte
    waits: tuple[float, ...] = (1.0, 2.0, 4.0)  # seconds before each further attempt

    def run(self) -> bool:
        """Bring the whole file to `part`; True if it goes on from bytes that lay there before.

        Attempts that bring new bytes are repeated without end, others as often as there are `waits`. A
        server that was never reached at all is not asked again, so that a machine without network
        hears so at once.

        Raises:
            NotAvailable: not reached, refused (404 and the like), or given up after the last attempt.
            InputRefused: more than `limit` bytes.
            UsageError: the URL is malformed.
            TrtdreamError: the disk is full or cannot be written to.
        """
        best, failures, answered = part_size(self.part), 0, False
        while True:
            try:
                return self._attempt()
            except _AgainError as error:
                answered = answered or not isinstance(error, _UnreachableError)
                if part_size(self.part) > best:
                    best, failures = part_size(self.part), 0
                if failures == len(self.waits) or not answered:
                    raise NotAvailable(f"{self.url}: {error}") from error
                wait = self.waits[failures]
                failures += 1
                say(f"{self.url}: {error}; trying again in {wait:g} s")
                time.sleep(wait)

    def _attempt(self) -> bool:
        kept = _read_version(self.part)
        if kept is None or kept.url != self.url:
            kept = None
        start = part_size(self.part) if kept else 0
        if kept and kept.length == start:
            return True
        with self._open(start) as response:
            version = _Version.of(self.url, response)
            if start and response.status == 206:
                if version != kept or not _begins_at(response, start):
                    discard(self.part)
                    raise _AgainError("the file has changed since the first part of it was fetched")
            elif response.status == 200:
                start = 0
                self._begin(version)
            else:
                raise _AgainError(f"unexpected HTTP {response.status}")
            self._receive(response, start, version.length)
        return start > 0

    def _open(self, start: int) -> http.client.HTTPResponse:
        request = urllib.request.Request(self.url, headers={"User-Agent": f"trtdream/{__version__}"})
        if start:
            request.add_header("Range", f"bytes={start}-")
        try:
            return _opener().open(request, timeout=self.stall)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:
                discard(self.part)
            answer = f"HTTP {error.code} {_one_line(error.reason)}"
            if error.code in (408, 416, 429) or error.code >= 500:
                raise _AgainError(answer) from error
            raise NotAvailable(f"{self.url}: {answer}") from error
        except urllib.error.URLError as error:
            raise _UnreachableError(f"cannot be reached ({_one_line(error.reason)})") from error
        except http.client.InvalidURL as error:
            raise UsageError(f"{self.url}: is no usable URL ({_one_line(error)})") from error
        except (OSError, http.client.HTTPException) as error:
            raise _AgainError(self._network_trouble(error)) from error

    def _begin(self, version: _Version) -> None:
        """Empty the part, then note whose bytes it will hold: never old bytes under a new name."""
        _version_file(self.part).unlink(missing_ok=True)
        with _disk_errors(self.part):
            self.part.open("wb").close()
        if version.validator:
            write_file(_version_file(self.part), json.dumps(asdict(version)))

    def _receive(self, response: http.client.HTTPResponse, size: int, length: int | None) -> None:
        if length is not None and length > self.limit:
            raise InputRefused(f"announces {length} bytes, the file has no more than {self.limit}")
        with _disk_errors(self.part), self.part.open("ab") as stream:
            self.report(size, length)
            while chunk := self._read(response):
                size += len(chunk)
                if size > self.limit:
                    raise InputRefused(f"sends more than the {self.limit} bytes that the file can have")
                stream.write(chunk)
                self.report(size, length)
            stream.flush()
            os.fsync(stream.fileno())
        if length is not None and size != length:
            raise _AgainError(f"the connection ended after {size} of {length} bytes")

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _AgainError(self._network_trouble(error)) from error

    def _network_trouble(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no byte for {self.stall:g} s"
        return f"the connection broke ({_one_line(error) or type(error).__name__})"


def part_size(part: Path) -> int:
    """How many bytes of an unfinished download lie in `part`; 0 if there is none."""
    return part.stat().st_size if part.exists() else 0


def resumable_size(part: Path) -> int:
    """How many bytes of an unfinished download a later run can go on from."""
    return part_size(part) if _read_version(part) else 0


def discard(part: Path) -> None:
    """Remove an unfinished download and the note beside it."""
    _version_file(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


class _AgainError(Exception):
    """An attempt that failed in a way that another one may not."""


class _UnreachableError(_AgainError):
    """No server answered."""


@dataclass(frozen=True)
class _Version:
    """Which bytes a server sends: the same version, the same bytes (RFC 9110, 8.8: validators)."""

    url: str
    validator: str | None
    length: int | None

    @classmethod
    def of(cls, url: str, response: http.client.HTTPResponse) -> _Version:
        if response.status == 206:
            total = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
            length = int(total[1]) if total else None
        else:
            length = response.length
        return cls(url, response.headers.get("ETag") or response.headers.get("Last-Modified"), length)


def _begins_at(response: http.client.HTTPResponse, start: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _version_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_version(part: Path) -> _Version | None:
    """What the bytes in `part` are of; None if there are none or nobody can tell."""
    if not part.is_file():
        return None
    try:
        return _Version(**json.loads(_version_file(part).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _disk_errors(part: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrtdreamError(
            f"{part}: cannot be written ({error.strerror}); make room and run the same command again, "
            "or put the cache elsewhere with TRTDREAM_HOME=DIR"
        ) from error


def _opener() -> urllib.request.OpenerDirector:
    """http and https, also after a redirect (urllib's default would follow one to ftp), and proxies."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _one_line(said: object) -> str:
    """What a server or the system said, fit for one line on a terminal."""
    lines = str(said).splitlines() or [""]
    return "".join(character for character in lines[0] if character.isprintable())[:200]
