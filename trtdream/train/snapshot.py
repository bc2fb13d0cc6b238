"""Snapshots: a folder, written whole or not at all, from which a run goes on as if it had never stopped.

PREFIX/iter_1000/                 is a bundle (trtdream.runtime.bundle): every command takes it as a NET, and
PREFIX/iter_1000/training.safetensors   the solver's buffers and the states of the random generators
PREFIX/iter_1000/snapshot.json          iteration, data positions, smoothing window, recipe, versions, checksums
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.files import read_file, replacing, sha256, sync, write_file
from trtdream.runtime.bundle import Bundle, write_bundle

FORMAT = 1
_NAME = re.compile(r"iter_(\d+)")
_LEFTOVER = re.compile(r"\.+(iter_\d+\.(new|old)|probe|recipe\.yaml|metrics\.jsonl|curves\.png|batch\.png)\b")
_STATE, _TRAINING, _WEIGHTS = "snapshot.json", "training.safetensors", "weights.safetensors"


@dataclass(frozen=True)
class State:
    """What a snapshot says beside its tensors.

    loss_window holds the last `average_loss` losses; positions the data positions of the training set (`train`) and of
    the tests (`test.0` ...); seconds the wall time trained so far.
    """

    iteration: int
    net: str
    solver: str
    weights: tuple[str, ...]
    loss_window: tuple[float, ...]
    positions: dict[str, dict[str, Any]]
    recipe: dict[str, Any]
    versions: dict[str, str]
    ranks: int = 1
    seconds: float = 0.0
    last_test: dict[str, float] = field(default_factory=dict)
    unwritten_losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that was read and whose checksums were right: its tensors are all float32 or uint8, on the CPU.

    weights: by `layer.index`. tensors: `history.K.layer.index`, `random.cpu.RANK`, `random.cuda.RANK`.
    """

    path: Path
    state: State
    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]


def snapshot_path(prefix: Path, iteration: int) -> Path:
    return prefix / f"iter_{iteration}"


def list_snapshots(prefix: Path) -> list[Path]:
    """The snapshots in a run's folder, the oldest first."""
    found = [path for path in prefix.glob("iter_*") if _NAME.fullmatch(path.name) and (path / _STATE).exists()]
    return sorted(found, key=iteration_of)


def iteration_of(path: Path) -> int:
    """The iteration in a snapshot's name; 0 for other names."""
    match = _NAME.fullmatch(path.name)
    return int(match.group(1)) if match else 0


def write_snapshot(path: Path, bundle: Bundle, state: State, tensors: Mapping[str, Tensor]) -> None:
    """Write a snapshot: all of it reaches the disk under another name, which is then changed.

    Raises:
        TrtdreamError: no space or no permission; what was there before is untouched.
    """
    from safetensors.torch import save_file

    staging = path.with_name(f".{path.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        write_bundle(staging, bundle)
        with replacing(staging / _TRAINING) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
        files = {file.name: sha256(file) for file in sorted(staging.iterdir())}
        document: dict[str, Any] = {"format": FORMAT, **asdict(state), "files": files}
        write_file(staging / _STATE, json.dumps({"sha256": _digest(document), **document}, indent=1))
        _take_place(staging, path)
    except (OSError, TrtdreamError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TrtdreamError(f"{path}: the snapshot was not written ({reason})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot, every checksum checked first.

    Raises:
        UsageError: there is none at `path`.
        InputRefused: it is damaged or of another version; the one before it is offered.
    """
    from safetensors.torch import load

    if not (path / _STATE).is_file():
        raise UsageError(f"{path}: is no snapshot (it has no {_STATE})")
    try:
        document = json.loads(read_file(path / _STATE))
        stated = document.pop("sha256")
        if stated != _digest(document):
            raise ValueError(f"{_STATE} was changed")
        if document.pop("format") != FORMAT:
            raise ValueError("is of another version of trtdream")
        contents = {name: _checked(path / name, digest) for name, digest in document.pop("files").items()}
        state = State(**{**document, "weights": tuple(document["weights"])})
        weights, tensors = load(contents[_WEIGHTS]), load(contents[_TRAINING])
    except (ValueError, KeyError, TypeError, AttributeError, InputRefused, UsageError) as error:
        raise InputRefused(f"{path}: is damaged: {error}{_offer(path)}") from error
    return Snapshot(path, state, weights, tensors)


def find_snapshot(named: str, prefix: Path) -> Path:
    """`latest` of a run's folder, or a path.

    Raises:
        UsageError: there is none.
    """
    if named != "latest":
        return Path(named)
    found = list_snapshots(prefix)
    if not found:
        raise UsageError(f"{prefix}: holds no snapshot to resume from")
    return found[-1]


def keep_newest(prefix: Path, count: int) -> None:
    """Remove all but the newest snapshots of a run."""
    for path in list_snapshots(prefix)[:-count]:
        _remove(path)


def remove_leftovers(prefix: Path) -> None:
    """Remove what a killed run left: folders and files that never got their names, or no longer have them."""
    for path in prefix.glob(".*"):
        if not _LEFTOVER.match(path.name):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def probe(prefix: Path, needed: int) -> int:
    """See that a snapshot of `needed` bytes could be written; the bytes that are free.

    Raises:
        TrtdreamError: no permission, or not enough space.
    """
    write_file(prefix / ".probe", b"trtdream")
    (prefix / ".probe").unlink()
    free = shutil.disk_usage(prefix).free
    if free < needed:
        raise TrtdreamError(
            f"{prefix}: a snapshot takes {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free: make room, or set "
            "run.folder to another disk"
        )
    return free


def _take_place(staging: Path, path: Path) -> None:
    """Give the folder its name. A snapshot of the same iteration, of an earlier attempt, steps aside first."""
    sync(staging)
    if path.exists():
        old = path.with_name(f".{path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    staging.rename(path)
    sync(path.parent)
    shutil.rmtree(path.with_name(f".{path.name}.old"), ignore_errors=True)


def _remove(path: Path) -> None:
    """Take the name away first, so that a kill in the middle leaves no half snapshot."""
    old = path.with_name(f".{path.name}.old")
    path.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _checked(path: Path, digest: str) -> bytes:
    content = read_file(path)
    if sha256(content) != digest:
        raise ValueError(f"{path.name} is not what was written (SHA-256 differs)")
    return content


def _offer(path: Path) -> str:
    earlier = [other for other in list_snapshots(path.parent) if iteration_of(other) < iteration_of(path)]
    return f"; the one before it: --resume {earlier[-1]} --force (removes what is later)" if earlier else ""


def _digest(document: Mapping[str, Any]) -> str:
    return sha256(json.dumps(document, sort_keys=True).encode())
