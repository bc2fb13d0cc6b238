"""Pictures as an export needs them: to calibrate with, and others to verify on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.net.shapes import infer_shapes
from trtdream.runtime.classify import for_picture
from trtdream.runtime.image import load_image
from trtdream.runtime.model import Model
from trtdream.runtime.pictures import find_pictures
from trtdream.runtime.preprocess import Preprocess, preprocess, ten_crops

_HELD_OUT = 4  # of the calibration pictures every fourth verifies, where no others are given
_RANDOM = 16


@dataclass(frozen=True)
class Samples:
    """Inputs of a network.

    blobs: N x C x H x W float32, as the network takes them. pictures: the same before channel order and mean, uint8
    N x H x W x 3 RGB, for a graph that does those itself; None where the blobs come from no pictures.
    """

    blobs: np.ndarray
    pictures: np.ndarray | None
    what: str


def load_samples(model: Model, paths: Sequence[Path], root: Path | None, what: str) -> Samples:
    """Pictures in files, folders and lists, prepared as `trtdream classify` does.

    Raises:
        UsageError: no picture there.
        InputRefused: pictures that cannot be read, all named at once (the first five).
    """
    named = find_pictures(paths, root)
    images, faults = [], []
    for one in named:
        try:
            images.append(load_image(one.path))
        except TrtdreamError as error:
            faults.append(str(error))
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise InputRefused(f"{len(faults)} of {len(named)} pictures are unfit: {'; '.join(faults[:5])}{more}")
    specs = [for_picture(model.pictures, image) for image in images]
    blobs = np.stack([preprocess(image, spec) for image, spec in zip(images, specs, strict=True)])
    pixels = np.stack([preprocess(image, _plain(spec)) for image, spec in zip(images, specs, strict=True)])
    return Samples(blobs, _to_bytes(pixels), f"{len(images)} {what}")


def check_disjoint(calibration: Sequence[Path], verification: Sequence[Path], root: Path | None) -> None:
    """Raises UsageError if a picture is in both: an accuracy on calibration pictures says nothing."""
    first, second = (
        {one.path.resolve() for one in find_pictures(paths, root)} for paths in (calibration, verification)
    )
    if both := sorted(first & second):
        raise UsageError(
            f"{len(both)} pictures are in --calibration and in --images ({both[0].name} for one): verify on others"
        )


def bundled_samples(model: Model) -> Samples:
    """Ten crops of each of the photographs that come with the package; random numbers for a network that takes none."""
    if model.preprocess is None:
        (name, *_), steps = model.graph.inputs, infer_shapes(model.graph)
        shape = next(top for s in steps for value, top in zip(s.step.writes, s.tops, strict=True) if value == name)
        random = np.random.default_rng(0).standard_normal((_RANDOM, *shape[1:]), np.float32)
        return Samples(random, None, f"{_RANDOM} random inputs")
    with as_file(files("trtdream.export") / "photographs") as folder:
        images = [load_image(path) for path in sorted(folder.glob("*.jpg"))]
    blobs = np.concatenate([ten_crops(image, model.preprocess) for image in images])
    pixels = np.concatenate([ten_crops(image, _plain(model.preprocess)) for image in images])
    return Samples(blobs, _to_bytes(pixels), f"{len(blobs)} crops of {len(images)} bundled photographs")


def split_samples(samples: Samples) -> tuple[Samples, Samples]:
    """Pictures to calibrate with and, disjoint from them, every fourth to verify on.

    Raises:
        UsageError: fewer than eight.
    """
    count = len(samples.blobs)
    if count < 2 * _HELD_OUT:
        raise UsageError(f"{count} calibration pictures are too few: {2 * _HELD_OUT} or more are wanted, better 500")
    held = np.arange(count) % _HELD_OUT == _HELD_OUT - 1
    return tuple(  # type: ignore[return-value]
        Samples(
            samples.blobs[chosen],
            None if samples.pictures is None else samples.pictures[chosen],
            f"{int(chosen.sum())} {what}",
        )
        for chosen, what in ((~held, "calibration pictures"), (held, "pictures held out of the calibration"))
    )


def _plain(spec: Preprocess) -> Preprocess:
    """The same crop with nothing done to its numbers."""
    return replace(spec, mean=np.zeros(3, np.float32), scale=1.0, channels="RGB")


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)).astype(np.uint8)  # N x H x W x 3
