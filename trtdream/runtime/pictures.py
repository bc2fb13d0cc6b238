"""Pictures named on a command line: files, folders, list files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trtdream.errors import InputRefused, UsageError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
_LISTS = {".txt", ".lst", ".list"}


@dataclass(frozen=True)
class Named:
    """A picture's file and, if a list gave one, its label (the class's number)."""

    path: Path
    label: int | None = None


def find_pictures(paths: Sequence[Path], root: Path | None = None) -> list[Named]:
    """The pictures in files, folders (at any depth, sorted as a person would) and list files (`PATH [LABEL]` a line).

    Args:
        root: where a list's paths start; None for the list's own folder.

    Raises:
        UsageError: a path that does not exist, or no picture at all.
        InputRefused: a list with lines that cannot be, all named at once (the first five).
    """
    found: list[Named] = []
    for path in paths:
        if path.is_dir():
            inside = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            found += [Named(file) for file in sorted(inside, key=_natural)]
        elif not path.exists():
            raise UsageError(f"{path}: no such file")
        elif path.suffix.lower() in _LISTS:
            found += _from_list(path, root or path.parent)
        else:
            found.append(Named(path))
    if not found:
        raise UsageError(f"no picture in {', '.join(map(str, paths))}")
    return found


def _from_list(path: Path, root: Path) -> list[Named]:
    found, faults = [], []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        match = re.fullmatch(r"(.+?)(?:\s+(\d+))?\s*", line)
        name, label = match.groups() if match else (line, None)
        if not (root / name).is_file():
            faults.append(f"line {number}: no file {name!r} in {root}")
        found.append(Named(root / name, None if label is None else int(label)))
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise InputRefused(f"{path}: {'; '.join(faults[:5])}{more}")
    return found


def _natural(path: Path) -> list[tuple[int, str]]:
    """frame2 before frame10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]
