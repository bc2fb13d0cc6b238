"""Packed sets: uint8 pixels in memory-mapped shards, decoded and resized once.

A folder with `index.json` (format, sizes, checksums), `labels.npy` (int64), `names.txt` and `shard-00000.bin` ...:
count x C x size x size bytes, BGR, planar, nothing else. The index is written last, so a set that has one is whole.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from trtdream.errors import InputRefused, VerificationFailed
from trtdream.files import read_file, sha256

INDEX = "index.json"
FORMAT = "trtdream packed set 1"


@dataclass(frozen=True)
class Shard:
    """One file of pixels."""

    file: str
    count: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """What index.json says."""

    shape: tuple[int, int, int]  # C x H x W of every sample
    shards: tuple[Shard, ...]
    labels_sha256: str
    names_sha256: str
    made_from: dict[str, Any]  # source, resize, versions: for people

    @property
    def count(self) -> int:
        return sum(shard.count for shard in self.shards)

    def text(self) -> str:
        """As JSON."""
        return json.dumps({"format": FORMAT, "count": self.count, **asdict(self)}, indent=1) + "\n"


class Packed:
    """A packed set as a source of pixels."""

    stored: Literal["encoded", "pixels"] = "pixels"

    def __init__(self, origin: Path, index: Index, labels: np.ndarray, names: tuple[str, ...]) -> None:
        self.origin = origin
        self.shape = index.shape
        self.labels: np.ndarray | None = labels
        self._names = names
        self._labels = labels
        self._maps = [
            np.memmap(origin / shard.file, np.uint8, "r", shape=(shard.count, *index.shape)) for shard in index.shards
        ]
        self._starts = np.cumsum([0, *(shard.count for shard in index.shards)])

    def __len__(self) -> int:
        return len(self._labels)

    def name(self, index: int) -> str:
        return self._names[index]

    def content(self, index: int) -> tuple[np.ndarray, int]:
        shard = int(np.searchsorted(self._starts, index, "right")) - 1
        return self._maps[shard][index - self._starts[shard]], int(self._labels[index])


def open_packed(path: Path) -> Packed:
    """Open a packed set; sizes and counts are checked, checksums are not (`verify` does).

    Raises:
        InputRefused: the index does not say what lies there, or a shard is missing or cut short.
    """
    index = read_index(path)
    for shard in index.shards:
        file, wanted = path / shard.file, shard.count * int(np.prod(index.shape))
        if not file.is_file():
            raise InputRefused(f"{file}: is missing: pack the set again, or copy it again")
        if (found := file.stat().st_size) != wanted:
            raise InputRefused(f"{file}: has {found} bytes, {INDEX} says {wanted}: pack or copy the set again")
    try:
        labels = np.load(path / "labels.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputRefused(f"{path / 'labels.npy'}: cannot be read ({error})") from error
    names = tuple(read_file(path / "names.txt").decode(errors="surrogateescape").splitlines())
    if labels.shape != (index.count,) or labels.dtype != np.int64 or len(names) != index.count:
        raise InputRefused(
            f"{path}: {INDEX} says {index.count} samples, labels.npy has {labels.shape} of {labels.dtype}, "
            f"names.txt {len(names)}: pack or copy the set again"
        )
    return Packed(path, index, labels, names)


def read_index(path: Path) -> Index:
    """The index of the packed set at `path`.

    Raises:
        InputRefused: it is damaged, of another format, or names files outside its folder.
    """
    file = path / INDEX
    try:
        said = json.loads(read_file(file))
        if said["format"] != FORMAT:
            raise InputRefused(f"{file}: is of format {said['format']!r}, this version reads {FORMAT!r}")
        channels, height, width = (int(length) for length in said["shape"])
        shards = tuple(Shard(str(one["file"]), int(one["count"]), str(one["sha256"])) for one in said["shards"])
        index = Index(
            (channels, height, width), shards, said["labels_sha256"], said["names_sha256"], dict(said["made_from"])
        )
        honest = index.count == said["count"] and index.count > 0 and min(index.shape) > 0
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputRefused(f"{file}: is damaged ({type(error).__name__}: {error})") from error
    if not honest or any(Path(shard.file).name != shard.file or shard.count < 1 for shard in shards):
        raise InputRefused(f"{file}: contradicts itself: pack or copy the set again")
    return index


def verify(path: Path) -> int:
    """Check every checksum of the packed set at `path`; the number of samples.

    Raises:
        InputRefused: as `open_packed`.
        VerificationFailed: a file's content is not what it was when it was written; all such files are named.
    """
    count = len(open_packed(path))
    index = read_index(path)
    wanted = {shard.file: shard.sha256 for shard in index.shards}
    wanted |= {"labels.npy": index.labels_sha256, "names.txt": index.names_sha256}
    changed = [name for name, digest in wanted.items() if sha256(path / name) != digest]
    if changed:
        raise VerificationFailed(f"{path}: changed since it was packed: {', '.join(changed)}: pack or copy it again")
    return count
