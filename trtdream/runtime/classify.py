"""What a network sees in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from trtdream.errors import InputRefused
from trtdream.runtime.image import load_image
from trtdream.runtime.model import Model
from trtdream.runtime.preprocess import Preprocess, preprocess, ten_crops
from trtdream.runtime.topk import top_k

_BATCH = 10


@dataclass(frozen=True)
class Seen:
    """One class that a network sees in a picture, and how sure it is (0..1)."""

    index: int
    label: str
    probability: float


def classify(
    model: Model, pictures: Sequence[np.ndarray], top: int = 5, oversample: bool = False, device: str = "cpu"
) -> list[list[Seen]]:
    """The `top` classes of each picture (H x W x 3 uint8 RGB), the surest first.

    A picture is squashed and its centre cropped as the network's preprocessing says; one that has the input's size
    already is taken whole.

    Args:
        oversample: average over ten crops, corners and centre and their mirror images, instead of the centre's.

    Raises:
        InputRefused: the network is no classifier or takes no pictures; a picture does not fit its mean image.
    """
    spec = model.pictures
    crops = [ten_crops(p, spec) if oversample else preprocess(p, _for_picture(spec, p))[None] for p in pictures]
    probabilities = _run(model, np.concatenate(crops), device)
    each = probabilities.reshape(len(pictures), -1, probabilities.shape[1]).mean(1)
    return [[Seen(index, model.label(index), p) for index, p in top_k(row, top)] for row in each]


def _for_picture(spec: Preprocess, picture: np.ndarray) -> Preprocess:
    """Without squash and crop for a picture of the input's own size; of a mean image, the centre is left."""
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


def _run(model: Model, data: np.ndarray, device: str) -> np.ndarray:
    """Class probabilities, N x classes, of blobs N x C x H x W."""
    value, scores = model.probabilities()
    module = model.module([value], device=device)
    found = []
    with torch.inference_mode():
        for start in range(0, len(data), _BATCH):
            batch = torch.from_numpy(data[start : start + _BATCH]).to(device, memory_format=torch.channels_last)
            out = module(batch, [value])[value].flatten(1)
            found.append((out.softmax(1) if scores else out).float().cpu().numpy())
    probabilities = np.concatenate(found)
    if not np.isfinite(probabilities).all():
        raise InputRefused(f"{model.weights.origin}: gives probabilities that are no numbers: the weights are damaged")
    return probabilities
