"""A folder of pictures being dreamt one by one, which can be left and gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trtdream.errors import InputRefused, UsageError
from trtdream.files import read_file, sha256, write_file
from trtdream.runtime.image import check_writable, read_metadata, save_image

STATE = "trtdream.json"
_WORK = "trtdream-work"  # the key in a picture's metadata


@dataclass(frozen=True)
class Work:
    """The folder, and what its pictures are made of and how: a JSON document.

    A picture counts as done if it carries this document's hash; pictures are written whole or not at all, so whatever
    ended the work, it goes on with the first that is missing.
    """

    folder: Path
    made: Mapping[str, Any]

    @property
    def digest(self) -> str:
        return sha256(_text(self.made).encode())

    def begin(self, force: bool = False) -> None:
        """Make the folder, or find it as this work left it.

        Args:
            force: what other work left there is removed, and this work's own done again. Only pictures that carry
                that work's hash are.

        Raises:
            UsageError: the folder holds other things, or work with other settings.
            InputRefused: its state file cannot be read.
        """
        state = self.folder / STATE
        if state.exists():
            found = self._state(state)
            if force:
                self._remove(sha256(_text(found).encode()))
            elif found != json.loads(_text(self.made)):
                raise UsageError(f"{self.folder}: {_difference(found, self.made)}; -o another folder, or --force")
        elif self.folder.is_dir() and any(self.folder.iterdir()) and not force:
            raise UsageError(f"{self.folder}: holds other things already; -o another folder, or --force to write there")
        write_file(state, _text(self.made) + "\n")

    def path(self, name: str) -> Path:
        """Where the picture of that name is written: its own name, .png added to one that cannot be written."""
        path = self.folder / name
        try:
            check_writable(path)
        except UsageError:
            return path.with_name(f"{path.name}.png")
        return path

    def done(self, name: str) -> bool:
        return _carries(self.path(name), self.digest)

    def save(self, name: str, picture: np.ndarray, metadata: Mapping[str, str]) -> None:
        """Write a picture, H x W x 3 uint8 RGB, marked as this work's.

        Raises:
            TrtdreamError: it cannot be written: the work cannot go on.
        """
        save_image(self.path(name), picture, {**metadata, _WORK: self.digest})

    def _state(self, state: Path) -> Any:
        try:
            return json.loads(read_file(state))
        except ValueError as error:
            raise InputRefused(f"{state}: is no state of a dream ({error}); remove it, or -o another folder") from error

    def _remove(self, digest: str) -> None:
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and _carries(path, digest):
                path.unlink()


def _text(made: Mapping[str, Any]) -> str:
    return json.dumps(made, indent=2, sort_keys=True)


def _carries(path: Path, digest: str) -> bool:
    try:
        return path.exists() and read_metadata(path).get(_WORK) == digest
    except InputRefused:
        return False


def _difference(found: Any, made: Mapping[str, Any]) -> str:
    """What a person should know of two documents that differ."""
    if not isinstance(found, dict):
        return "is of other work"
    ours = json.loads(_text(made))
    differ = [key for key in sorted({*found, *ours}) if found.get(key) != ours.get(key)]
    return f"was begun with another {', '.join(differ)}"
