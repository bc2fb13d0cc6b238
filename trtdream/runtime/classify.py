"""What a network sees in pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trtdream.console import progress
from trtdream.errors import InputRefused
from trtdream.runtime.image import load_image
from trtdream.runtime.model import Model
from trtdream.runtime.preprocess import Preprocess, preprocess, ten_crops
from trtdream.runtime.runner import Classifier, run_in_batches
from trtdream.runtime.topk import top_k

_BATCH = 10
IN_MEMORY = 64  # pictures


@dataclass(frozen=True)
class Seen:
    """One class that a network sees in a picture, and how sure it is (0..1)."""

    index: int
    label: str
    probability: float


def classify(
    model: Model,
    pictures: Sequence[np.ndarray],
    top: int = 5,
    oversample: bool = False,
    device: str = "cpu",
    classifier: Classifier | None = None,
) -> list[list[Seen]]:
    """The `top` classes of each picture (H x W x 3 uint8 RGB), the surest first.

    A picture is squashed and its centre cropped as the network's preprocessing says; one that has the input's size
    already is taken whole.

    Args:
        device: where torch runs, which classifies if there is no `classifier`.
        oversample: average over ten crops, corners and centre and their mirror images, instead of the centre's.

    Raises:
        InputRefused: the network is no classifier or takes no pictures; a picture does not fit its mean image.
    """
    chosen = classifier or _torch(model, device)
    with chosen.runner:
        return _see(model, pictures, top, oversample, chosen)


def classify_files(
    model: Model,
    paths: Sequence[Path],
    top: int,
    oversample: bool,
    classifier: Classifier,
    load: Callable[[Sequence[Path]], list[np.ndarray]] | None = None,
) -> list[list[Seen]]:
    """The same for pictures in files, of which only IN_MEMORY are in memory at a time.

    Args:
        load: gives the pictures of at most IN_MEMORY files, as they are or squashed already; None for `load_pictures`.

    Raises:
        UsageError, InputRefused: see `load_image`, and `classify`.
    """
    seen: list[list[Seen]] = []
    with classifier.runner, progress() as bar:
        task = bar.add_task("classifying", total=len(paths))
        for start in range(0, len(paths), IN_MEMORY):
            pictures = (load or load_pictures)(paths[start : start + IN_MEMORY])
            seen += _see(model, pictures, top, oversample, classifier)
            bar.advance(task, len(pictures))
    return seen


def _see(
    model: Model, pictures: Sequence[np.ndarray], top: int, oversample: bool, classifier: Classifier
) -> list[list[Seen]]:
    spec = model.pictures
    crops = [ten_crops(p, spec) if oversample else preprocess(p, for_picture(spec, p))[None] for p in pictures]
    probabilities = _run(model, np.concatenate(crops), classifier)
    each = probabilities.reshape(len(pictures), -1, probabilities.shape[1]).mean(1)
    return [[Seen(index, model.label(index), p) for index, p in top_k(row, top)] for row in each]


def for_picture(spec: Preprocess, picture: np.ndarray) -> Preprocess:
    """The preprocessing, without squash and crop for a picture of the input's own size (then a mean image's centre)."""
    if picture.shape[:2] != spec.size:
        return spec
    mean = spec.mean
    if mean.ndim == 3:
        top, left = ((mean.shape[axis + 1] - spec.size[axis]) // 2 for axis in (0, 1))
        mean = mean[:, top : top + spec.size[0], left : left + spec.size[1]]
    return replace(spec, squash=None, mean=mean)


def load_pictures(paths: Sequence[Path]) -> list[np.ndarray]:
    """Every picture, or a refusal that names the first bad one."""
    return [load_image(path) for path in paths]


def _torch(model: Model, device: str) -> Classifier:
    from trtdream.runtime.runner_torch import TorchRunner

    runner = TorchRunner(model, device=device)
    return Classifier(runner, runner.outputs[0], _BATCH)


def _run(model: Model, data: np.ndarray, classifier: Classifier) -> np.ndarray:
    """Class probabilities, N x classes, of blobs N x C x H x W."""
    found = run_in_batches(classifier.runner, data, classifier.batch, classifier.fixed)[classifier.output]
    probabilities = found.reshape(len(data), -1)
    if not np.isfinite(probabilities).all():
        raise InputRefused(f"{model.weights.origin}: gives probabilities that are no numbers: the weights are damaged")
    return probabilities
