"""What of the official files lies on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trtdream.weights.cache import cache_folder, find_official, sha1
from trtdream.weights.download import resumable_size
from trtdream.weights.official import Official, OfficialFile


@dataclass(frozen=True)
class HeldFile:
    """A file that is here: its size in bytes and its SHA-1."""

    path: Path
    size: int
    sha1: str

    @classmethod
    def at(cls, path: Path) -> HeldFile:
        return cls(path, path.stat().st_size, sha1(path))


@dataclass(frozen=True)
class Holding:
    """An official file, where it lies (None: nowhere), and the files found there (an archive's members)."""

    file: Official
    path: Path | None
    found: tuple[HeldFile, ...]
    kept: int  # bytes of an unfinished download

    @classmethod
    def at(cls, file: Official, path: Path | None) -> Holding:
        kept = resumable_size(cache_folder() / f"{file.filename}.part")
        if path is None:
            return cls(file, None, (), kept)
        paths = [path] if isinstance(file, OfficialFile) else [path / member.filename for member in file.members]
        return cls(file, path, tuple(HeldFile.at(each) for each in paths), kept)

    def lines(self) -> list[str]:
        """One line for each file that is here, or one that says that it is not."""
        if self.path is None:
            kept = f"; {self.kept / 1e6:.1f} MB of it are" if self.kept else ""
            about = f"{self.file.filename}, about {self.file.about / 1e6:.0f} MB"
            return [f"{self.file.name:<10} not here{kept} ({about})"]
        return [
            f"{self.file.name:<10} {held.path}  {held.size:,} bytes  SHA-1 {held.sha1}{self._remark(held)}"
            for held in self.found
        ]

    def as_document(self) -> dict[str, Any]:
        """The same for `--json`; `official` is null for an archive, which has no published hash."""
        return {
            "name": self.file.name,
            "path": str(self.path) if self.path else None,
            "kept_bytes": self.kept,
            "files": [
                {
                    "path": str(held.path),
                    "bytes": held.size,
                    "sha1": held.sha1,
                    "official": held.sha1 == self.file.sha1 if self.file.sha1 else None,
                }
                for held in self.found
            ],
        }

    def _remark(self, held: HeldFile) -> str:
        return "" if self.file.sha1 in (None, held.sha1) else " (not the official one)"


def look_up(file: Official) -> Holding:
    """What is here of `file`; no network is used."""
    return Holding.at(file, find_official(file.name))
