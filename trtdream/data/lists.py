"""List files made from folders: `path label` lines for training and validation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from trtdream.data.order import Dice, bits
from trtdream.data.sources import Listing, Source, read_folder
from trtdream.errors import InputRefused, UsageError
from trtdream.files import write_file


def write_list(path: Path, lines: Iterable[tuple[str, int]]) -> None:
    """Write a list file, whole or not at all."""
    text = "".join(f"{name} {label}\n" for name, label in lines)
    write_file(path, text.encode(errors="surrogateescape"))


def split_folder(folder: Path, val: float, seed: int) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """The lines of train.txt and val.txt for a folder per class, paths relative to `folder`.

    Where `folder` has itself the folders train and val, those are the split; else a share `val` of every class
    (at least one picture of each that has two) is taken for validation, by lot.

    Raises:
        InputRefused: no images, or train and val have different classes.
    """
    train, validation = folder / "train", folder / "val"
    if train.is_dir() and validation.is_dir():
        parts = read_folder(train), read_folder(validation)
        if parts[0].classes != parts[1].classes:
            odd = sorted(set(parts[0].classes) ^ set(parts[1].classes))
            raise InputRefused(f"{folder}: train and val have different classes: {', '.join(odd[:10])}")
        return _lines(parts[0], "train/"), _lines(parts[1], "val/")
    listing = read_folder(folder)
    lot = bits(seed, np.arange(len(listing)), Dice.ORDER)
    chosen = np.zeros(len(listing), bool)
    for label in range(len(listing.classes)):
        members = np.flatnonzero(listing.labels == label)
        wanted = max(1, round(val * len(members))) if val > 0 and len(members) > 1 else 0
        chosen[members[np.argsort(lot[members], kind="stable")][:wanted]] = True
    lines = _lines(listing, "")
    return (
        [line for line, out in zip(lines, chosen, strict=True) if not out],
        [line for line, out in zip(lines, chosen, strict=True) if out],
    )


def _lines(listing: Listing, prefix: str) -> list[tuple[str, int]]:
    return [(prefix + path, int(label)) for path, label in zip(listing.paths, listing.labels, strict=True)]


def write_good(path: Path, source: Source, indices: Sequence[int]) -> None:
    """Write the list of those samples of a source of files that `indices` names.

    Raises:
        UsageError: the source is a database or a packed set: its samples have no paths.
    """
    if not isinstance(source, Listing):
        raise UsageError(
            f"{source.origin}: is no list or folder, so there is nothing to list: pack it with --on-bad skip"
        )
    write_list(path, [(source.paths[index], int(source.labels[index])) for index in indices])
