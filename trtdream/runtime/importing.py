"""From the files of a Caffe model, as people keep them, to a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trtdream.caffe.mean import read_mean
from trtdream.caffe.prototxt import read_prototxt
from trtdream.console import say
from trtdream.errors import UsageError
from trtdream.files import read_file
from trtdream.net.kind import Phase
from trtdream.net.torch_module import TorchNet
from trtdream.runtime.bundle import Bundle
from trtdream.runtime.preprocess import Size
from trtdream.runtime.preprocessing import preprocessing
from trtdream.weights.weights import load_weights

_WEIGHTS = (".caffemodel", ".h5", ".safetensors")


@dataclass(frozen=True)
class Files:
    """Which file is what. training is a train_val prototxt beside the network's, for its mean and scale."""

    network: Path
    weights: Path
    training: Path | None = None
    mean: Path | None = None
    labels: Path | None = None


def collect(sources: Sequence[Path], labels: Path | None = None) -> Files:
    """Find out which of the files, or of those in a folder, is what.

    Raises:
        UsageError: none of a kind that is needed, or several where one is wanted.
    """
    paths = [path for source in sources for path in (sorted(source.iterdir()) if source.is_dir() else [source])]
    if missing := [path for path in paths if not path.exists()]:
        raise UsageError(f"{missing[0]}: no such file or folder")
    nets = [path for path in paths if path.suffix in (".prototxt", ".pbtxt") and "solver" not in path.name]
    deploys = [path for path in nets if "deploy" in path.name]
    network = _one(deploys or nets, "network (.prototxt)")
    training = [path for path in nets if "train" in path.name and path != network]
    means = [p for p in paths if p.suffix == ".binaryproto" or (p.suffix == ".npy" and "mean" in p.name)]
    texts = [path for path in paths if path.suffix == ".txt" and _names_classes(path)]
    return Files(
        network,
        _one([path for path in paths if path.suffix in _WEIGHTS], "file of weights (.caffemodel, .h5, .safetensors)"),
        _one(training, "train_val prototxt") if training else None,
        _one(means, "mean (.binaryproto, mean.npy)") if means else None,
        labels or (_one(texts, "list of labels; name it with --labels") if texts else None),
    )


def make_bundle(
    files: Files, mean: np.ndarray | None = None, scale: float | None = None, squash: Size | None = None
) -> Bundle:
    """Read the files; the weights must fit the network.

    Raises:
        InputRefused: a file that is corrupt, or does not fit the others.
    """
    net, weights = read_prototxt(files.network), load_weights(files.weights)
    TorchNet(net, Phase.TEST).load(weights.layers, weights.origin)
    if mean is None and files.mean:
        mean = read_mean(files.mean)
    training = read_prototxt(files.training) if files.training else None
    spec, assumption = preprocessing(net, mean, scale, squash, files.network.parent, training)
    if assumption:
        say(f"{assumption}; --mean tells it")
    labels = read_file(files.labels).decode(errors="replace").splitlines() if files.labels else []
    return Bundle(net, weights, spec, tuple(line.strip() for line in labels if line.strip()))


def parse_mean(text: str | None) -> np.ndarray | None:
    """`104,117,123`, or the name of a file with a mean.

    Raises:
        UsageError: neither.
    """
    if text is None:
        return None
    try:
        return np.array([float(value) for value in text.split(",")], np.float32)
    except ValueError:
        return read_mean(Path(text))


def parse_size(text: str | None) -> Size | None:
    """`256x256` (height x width) as (256, 256).

    Raises:
        UsageError: another form.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise UsageError(f"--squash {text}: is not of the form HxW, as in 256x256")
    return int(sides[0]), int(sides[1])


def _names_classes(path: Path) -> bool:
    """Whether a text file's name says that it holds labels, as Caffe's synset_words.txt does."""
    return any(word in path.name.lower() for word in ("label", "synset", "words", "classes"))


def _one(paths: Sequence[Path], what: str) -> Path:
    if not paths:
        raise UsageError(f"no {what} among the files")
    if len(paths) > 1:
        raise UsageError(f"{len(paths)} files could be the {what}: {', '.join(map(str, paths))}; name the files")
    return paths[0]
