"""Where official files lie on this machine, and what the environment says about it.

TRTDREAM_HOME=DIR     the cache, instead of ~/.cache/trtdream
TRTDREAM_WEIGHTS=DIR  looked in first, for files by their official names, whatever their content
TRTDREAM_OFFLINE=1    the network is not used
TRTDREAM_MIRROR=URL   files are fetched from there
TRTDREAM_TIMEOUT=S    a download that brings nothing for so many seconds has stalled (30)
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from urllib.parse import urlsplit

from trtdream.console import say
from trtdream.errors import InputRefused, UsageError
from trtdream.files import read_file
from trtdream.weights.official import OFFICIAL_URL, Official, OfficialFile, official


def cache_folder() -> Path:
    """The folder that `trtdream fetch` fills; it need not exist yet."""
    home = os.environ.get("TRTDREAM_HOME")
    return Path(home).expanduser().absolute() if home else Path.home() / ".cache" / "trtdream"


def find_official(name: str) -> Path | None:
    """The official file `name` on this machine (the folder, for an archive), or None; no network is used.

    TRTDREAM_WEIGHTS comes first and is trusted; a file in the cache must have its official SHA-1 (about
    0.3 s for CaffeNet), an archive's members must be what they are: if not, that is said, and counts as None.

    Raises:
        UsageError: no such name, or TRTDREAM_WEIGHTS is no folder.
    """
    file = official(name)
    own = _own_folder()
    if own and _is_complete(file, own / file.place):
        return own / file.place
    path = cache_folder() / file.place
    if not path.exists():
        return None
    if is_official(file, path):
        return path
    say(f"{path}: is damaged or not the official file, and is not used; `trtdream fetch {name}` replaces it")
    return None


def is_official(file: Official, path: Path) -> bool:
    """Whether `path` holds the official content: by SHA-1, or by the checks of each member of an archive."""
    if not _is_complete(file, path):
        return False
    if isinstance(file, OfficialFile):
        return sha1(path) == file.sha1
    try:
        for member in file.members:
            member.check(read_file(path / member.filename))
    except (ValueError, InputRefused):
        return False
    return True


def sha1(path: Path) -> str:
    """The SHA-1 of a file's content, as 40 hexadecimal digits: the hash that BVLC published.

    Raises:
        InputRefused: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha1").hexdigest()
    except OSError as error:
        raise InputRefused(f"{path}: cannot be read ({error.strerror})") from error


def is_offline() -> bool:
    """Whether TRTDREAM_OFFLINE forbids the network."""
    return os.environ.get("TRTDREAM_OFFLINE", "0") not in ("", "0")


def mirror() -> str:
    """The URL below which the official files are asked for.

    Raises:
        UsageError: TRTDREAM_MIRROR is no http or https URL.
    """
    url = os.environ.get("TRTDREAM_MIRROR") or OFFICIAL_URL
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url):
        raise UsageError(f"TRTDREAM_MIRROR={url}: must be a URL that begins with http:// or https://")
    return url.rstrip("/")


def stall_timeout() -> float:
    """Seconds without a byte after which a download has stalled.

    Raises:
        UsageError: TRTDREAM_TIMEOUT is no number above 0.
    """
    text = os.environ.get("TRTDREAM_TIMEOUT") or "30"
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"TRTDREAM_TIMEOUT={text}: must be a number of seconds above 0")
    return seconds


def _own_folder() -> Path | None:
    named = os.environ.get("TRTDREAM_WEIGHTS")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise UsageError(f"TRTDREAM_WEIGHTS={named}: is no folder; unset it or name the folder with your files")
    return folder


def _is_complete(file: Official, path: Path) -> bool:
    if isinstance(file, OfficialFile):
        return path.is_file()
    return all((path / member.filename).is_file() for member in file.members)
