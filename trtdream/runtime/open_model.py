"""From what a user names (nothing, a zoo name, a prototxt, a bundle) to a `Model`."""

from __future__ import annotations

import json
from dataclasses import replace
from difflib import get_close_matches
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from trtdream.caffe.mean import read_mean
from trtdream.caffe.prototxt import read_prototxt
from trtdream.console import say
from trtdream.errors import InputRefused, UsageError
from trtdream.net.kinds.convolution import Convolution
from trtdream.net.kinds.inner_product import InnerProduct
from trtdream.net.net import Net
from trtdream.net.zoo import ZOO, build
from trtdream.net.zoo.googlenet import MEAN_BGR
from trtdream.runtime.bundle import is_bundle, read_bundle
from trtdream.runtime.model import Model
from trtdream.runtime.preprocessing import ILSVRC12_MEAN_BGR, preprocessing
from trtdream.weights.cache import find_official
from trtdream.weights.download import NotAvailable
from trtdream.weights.fetch import obtain
from trtdream.weights.weights import Weights, load_weights

DEFAULT = "googlenet"
BUNDLED = "googlenet_imagenette"


def open_model(net: str | None = None, weights: Path | None = None, offline: bool = False) -> Model:
    """The network that a command is to run.

    Args:
        net: a zoo name, a prototxt, a bundle; None for the default, BVLC's GoogLeNet.
        weights: a file of weights; None for the official ones of a zoo network, or the bundle's own.
        offline: do not use the network (the one of computers) to fetch official weights.

    Raises:
        UsageError: no such network or file, a prototxt without weights.
        InputRefused: a file that is corrupt or does not fit.
        NotAvailable: the official weights cannot be had; only where `net` was given, for otherwise the bundled
            network steps in, and that is said.
    """
    if net is None and weights is None:
        return _default(offline)
    name = net or DEFAULT
    if is_bundle(Path(name)):
        return _from_bundle(Path(name), weights)
    if name in ZOO:
        return _from_zoo(name, load_weights(weights) if weights else load_weights(obtain(name, offline=offline)))
    _must_be_file(name)
    if weights is None:
        raise UsageError(f"{name}: a prototxt holds no weights; give them with --weights FILE")
    return _from_prototxt(Path(name), load_weights(weights))


def open_net(net: str | None = None) -> Net:
    """The layers alone, of a zoo network (for use), a prototxt or a bundle.

    Raises:
        UsageError: no such network.
        InputRefused: a file that is no prototxt.
    """
    name = net or DEFAULT
    if name in ZOO:
        return build(name)
    if is_bundle(Path(name)):
        return read_bundle(Path(name)).net
    _must_be_file(name)
    return read_prototxt(Path(name))


def ilsvrc12_labels() -> tuple[str, ...]:
    """The 1000 classes of ILSVRC12 in Caffe's order: synset and words."""
    return tuple((_bundled_folder() / "ilsvrc12_labels.txt").read_text().splitlines())


def _must_be_file(name: str) -> None:
    path = Path(name)
    if not path.exists():
        near = get_close_matches(name, ZOO, n=1)
        hint = f"; did you mean {near[0]}?" if near else f" ({', '.join(sorted(ZOO))})"
        raise UsageError(f"{name}: neither a file nor a network of the zoo{hint}")
    if path.is_dir():
        raise UsageError(f"{name}: is a folder, but no bundle; `trtdream import {name} -o BUNDLE` makes one of it")


def _bundled_folder() -> Path:
    with as_file(files("trtdream.weights") / "bundled") as folder:
        return folder


def _default(offline: bool) -> Model:
    try:
        official = obtain(DEFAULT, offline=offline)
    except (NotAvailable, InputRefused) as error:
        say(f"{error}; the bundled {BUNDLED} (10 classes) steps in")
        return bundled()
    return _from_zoo(DEFAULT, load_weights(official))


def bundled() -> Model:
    """GoogLeNet trained on Imagenette's 10 classes for this project: it comes with the package."""
    weights = load_weights(_bundled_folder() / f"{BUNDLED}.safetensors")
    return _from_zoo(DEFAULT, replace(weights, origin=BUNDLED))


def _from_zoo(name: str, weights: Weights) -> Model:
    net = build(name, _count_classes(build(name), weights))
    mean, assumption = _zoo_mean(name)
    return Model(net, weights, preprocessing(net, mean)[0], _labels(net, weights), assumption)


def _from_prototxt(path: Path, weights: Weights) -> Model:
    net = read_prototxt(path)
    preprocess, assumption = preprocessing(net, folder=path.parent)
    return Model(net, weights, preprocess, _labels(net, weights), assumption)


def _from_bundle(folder: Path, weights: Path | None) -> Model:
    bundle = read_bundle(folder)
    own = load_weights(weights) if weights else bundle.weights
    return Model(bundle.net, own, bundle.preprocess, bundle.labels)


def _count_classes(net: Net, weights: Weights) -> int:
    """How many classes the weights tell apart: the outputs of the zoo network's last layer with weights."""
    classifier = next(layer.name for layer in reversed(net.layers) if isinstance(layer.kind, InnerProduct))
    if classifier not in weights.layers:
        raise InputRefused(f"{weights.origin}: holds weights of another network: it has no layer {classifier!r}")
    return int(weights.layers[classifier][-1].size)


def _labels(net: Net, weights: Weights) -> tuple[str, ...]:
    """Those the weights' file names; else ILSVRC12's, for a network of a thousand classes; else none."""
    if "classes" in weights.metadata:
        return tuple(json.loads(weights.metadata["classes"]))
    names = ilsvrc12_labels()
    sizes = {layer.kind.num_output for layer in net.layers if isinstance(layer.kind, InnerProduct | Convolution)}
    return names if len(names) in sizes else ()


def _zoo_mean(name: str) -> tuple[np.ndarray, str]:
    """GoogLeNet's mean is one value a channel; CaffeNet's and AlexNet's the mean image, if it was fetched."""
    if name == "googlenet":
        return np.array(MEAN_BGR, np.float32), ""
    folder = find_official("ilsvrc12")
    if folder is not None:
        return read_mean(folder / "imagenet_mean.binaryproto"), ""
    return np.array(ILSVRC12_MEAN_BGR, np.float32), (
        f"{name} was trained with a mean image; its channels' means are taken until `trtdream fetch ilsvrc12` gets it"
    )
