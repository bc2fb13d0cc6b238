"""Bundles: a folder with a network, its weights, its mean and its labels, which is a network wherever one is asked for.

BUNDLE/bundle.json          which file is what, how pictures are preprocessed, where the weights came from
BUNDLE/network.prototxt
BUNDLE/weights.safetensors
BUNDLE/mean.binaryproto     if the mean is an image
BUNDLE/labels.txt           one class a line, if they have names
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trtdream.caffe.mean import read_mean, write_mean
from trtdream.caffe.prototxt import read_prototxt, text_from_net
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.files import read_file, write_file
from trtdream.net.net import Net
from trtdream.runtime.preprocess import Preprocess
from trtdream.weights.weights import Weights, load_weights, save_weights

VERSION = 1
_INDEX, _NETWORK, _WEIGHTS, _MEAN, _LABELS = (
    "bundle.json",
    "network.prototxt",
    "weights.safetensors",
    "mean.binaryproto",
    "labels.txt",
)


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds. preprocess is None for a network that takes no pictures."""

    net: Net
    weights: Weights
    preprocess: Preprocess | None
    labels: tuple[str, ...] = ()


def is_bundle(path: Path) -> bool:
    return (path / _INDEX).is_file()


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle.

    Raises:
        InputRefused: a file of it is missing, changed or of another version.
    """
    index = _read_index(folder)
    try:
        labels = read_file(folder / _LABELS).decode().splitlines() if index["labels"] else []
        preprocess = index["preprocess"] and Preprocess.from_dict(
            index["preprocess"], lambda name: read_mean(folder / name)
        )
        weights = load_weights(folder / _WEIGHTS)
        net = read_prototxt(folder / _NETWORK)
    except UsageError as error:
        raise InputRefused(f"{folder}: the bundle is incomplete: {error}") from error
    except UnicodeDecodeError as error:
        raise InputRefused(f"{folder / _LABELS}: is no text in UTF-8") from error
    if weights.sha256 != index["weights_sha256"]:
        raise InputRefused(f"{folder / _WEIGHTS}: is not the file that the bundle was made with (SHA-256 differs)")
    return Bundle(net, weights, preprocess, tuple(labels))


def write_bundle(folder: Path, bundle: Bundle) -> None:
    """Write a bundle, whole or not at all.

    Raises:
        TrtdreamError: the folder exists already, or cannot be written.
    """
    if folder.exists():
        raise UsageError(f"{folder} exists already: give another name with -o")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise TrtdreamError(f"{folder}: cannot be written ({error.strerror})") from error
    try:
        _fill(temporary, bundle)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except OSError as error:
        raise TrtdreamError(f"{folder}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(folder: Path, bundle: Bundle) -> None:
    write_file(folder / _NETWORK, text_from_net(bundle.net))
    save_weights(folder / _WEIGHTS, bundle.weights)
    if bundle.labels:
        write_file(folder / _LABELS, "\n".join(bundle.labels) + "\n")
    preprocess = bundle.preprocess
    if preprocess is not None and preprocess.mean.ndim == 3:
        write_mean(folder / _MEAN, preprocess.mean)
    index = {
        "version": VERSION,
        "network": bundle.net.name,
        "weights_sha256": load_weights(folder / _WEIGHTS).sha256,
        "made_from": {"weights": Path(bundle.weights.origin).name, "sha256": bundle.weights.sha256},
        "preprocess": preprocess.to_dict(_MEAN) if preprocess else None,
        "labels": len(bundle.labels),
    }
    write_file(folder / _INDEX, json.dumps(index, indent=2) + "\n")


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / _INDEX
    try:
        index = json.loads(read_file(path))
    except ValueError as error:
        raise InputRefused(f"{path}: is no JSON ({error})") from error
    wanted = {"version", "network", "weights_sha256", "made_from", "preprocess", "labels"}
    if not isinstance(index, dict) or set(index) != wanted:
        raise InputRefused(f"{path}: is no index of a bundle (its keys are {', '.join(sorted(wanted))})")
    if index["version"] != VERSION:
        raise InputRefused(f"{path}: is of version {index['version']}, this trtdream reads version {VERSION}")
    return index
