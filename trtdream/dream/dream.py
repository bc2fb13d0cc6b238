"""The classic DeepDream (google/deepdream, 2015): octaves from small to large, each a few steps uphill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np
import torch
from torch import Tensor

from trtdream.dream.ascent import Step, ascend
from trtdream.dream.objectives import Objective, channels, l2
from trtdream.dream.objectives import guide as resemble
from trtdream.dream.octaves import Size, fitting, octave_sizes, pyramid, zoom
from trtdream.errors import InputRefused, UsageError
from trtdream.net.shapes import infer_shapes
from trtdream.net.torch_module import TorchNet
from trtdream.runtime.model import Model
from trtdream.runtime.preprocess import Preprocess, deprocess, preprocess


@dataclass(frozen=True)
class Layer:
    """What `--layer NAME:WEIGHT` says: an index into the blob list, a layer or a blob; and how much it counts."""

    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class Settings:
    """How to dream; the defaults are the original notebook's.

    Attributes:
        layers: what grows; several add up, each times its weight.
        channels: of every layer, only these channels; all if empty.
        octaves, octave_scale: how many sizes, and how much larger each is than the one before.
        iterations: steps an octave.
        step: how far a step goes (see `Step.size`).
        jitter: the most pixels a step's picture is rolled by, each way.
        seed: of the jitter.
    """

    layers: tuple[Layer, ...] = (Layer("68"),)
    channels: tuple[int, ...] = ()
    octaves: int = 4
    octave_scale: float = 1.4
    iterations: int = 10
    step: float = 1.5
    jitter: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("octaves", 1), ("iterations", 1), ("jitter", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"--{name} {getattr(self, name)}: must be at least {least}")
        if not 1 < self.octave_scale <= 100:
            raise UsageError(f"--octave-scale {self.octave_scale}: must be more than 1 and at most 100")
        if not 0 < self.step <= 1000:
            raise UsageError(f"--step {self.step}: must be more than 0 and at most 1000")
        if not self.layers or min(self.channels, default=0) < 0:
            raise UsageError("a dream needs at least one --layer, and channels count from 0")
        if self.seed >= 2**32:
            raise UsageError(f"--seed {self.seed}: must be less than 2^32")


@dataclass(frozen=True)
class Octave:
    """One octave done: its size and the objective at its first and last step."""

    size: Size
    first: float
    last: float


@dataclass(frozen=True)
class Dream:
    """The picture H x W x 3 uint8 RGB, how it went, and whether Ctrl-C cut it short."""

    picture: np.ndarray
    octaves: tuple[Octave, ...]
    interrupted: bool = False


def dream(
    model: Model,
    picture: np.ndarray,
    settings: Settings,
    device: str = "cpu",
    guide: np.ndarray | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> Dream:
    """Let a network dream into a picture (H x W x 3 uint8 RGB, of any size).

    Ctrl-C ends it with what there is: the octaves done so far, zoomed to the picture's size.

    Args:
        guide: a picture whose features the layers shall resemble, instead of growing on their own.
        on_step: called after each of octaves x iterations steps.

    Raises:
        UsageError: no such layer.
        InputRefused: the picture is too small for the layer, or the layer does not answer to it.
    """
    spec = _at_size(model.pictures, picture)
    sizes = usable_octaves(model, picture, settings)
    module = model.module([value for value, _ in terms(model, settings)], device=device)
    objective = _objective(model, module, settings, guide, device)
    base = torch.from_numpy(preprocess(picture, spec))[None].to(device)
    step = Step(objective, settings.step, *_bounds(spec, device))
    jitter = np.random.RandomState(settings.seed)  # the notebook's generator
    done: list[Octave] = []
    detail = torch.zeros_like(zoom(base, sizes[0]))
    try:
        for level in pyramid(base, sizes):
            detail = zoom(detail, (level.shape[2], level.shape[3]))
            data = (level + detail).contiguous(memory_format=torch.channels_last)
            objectives = []
            for _ in range(settings.iterations):
                right, down = jitter.randint(-settings.jitter, settings.jitter + 1, 2)
                data, objective_now = ascend(module, data, step, (int(right), int(down)))
                detail = data - level
                objectives.append(objective_now)
                on_step()
            done.append(Octave((level.shape[2], level.shape[3]), objectives[0], objectives[-1]))
    except KeyboardInterrupt:
        finished = base + zoom(detail, (base.shape[2], base.shape[3]))
        return Dream(deprocess(finished[0].cpu().numpy(), spec), tuple(done), interrupted=True)
    return Dream(deprocess(data[0].cpu().numpy(), spec), tuple(done))


def terms(model: Model, settings: Settings) -> list[tuple[str, float]]:
    """The values that the settings' layers mean, with their weights.

    Raises:
        UsageError: no such layer.
    """
    return [(model.resolve(layer.name)[1], layer.weight) for layer in settings.layers]


def _objective(model: Model, module: TorchNet, settings: Settings, guide: np.ndarray | None, device: str) -> Objective:
    wanted = terms(model, settings)
    features = {} if guide is None else _features(model, module, [value for value, _ in wanted], guide, device)

    def term(value: str) -> Objective:
        if guide is not None:
            return resemble(value, features[value])
        return channels(value, settings.channels) if settings.channels else l2(value)

    return reduce(add, (weight * term(value) for value, weight in wanted))


def _features(model: Model, module: TorchNet, values: list[str], guide: np.ndarray, device: str) -> dict[str, Tensor]:
    """What the layers see in the guide picture, at its own size."""
    blob = torch.from_numpy(preprocess(guide, _at_size(model.pictures, guide)))[None].to(device)
    with torch.no_grad():
        return module(blob, values)


def usable_octaves(model: Model, picture: np.ndarray, settings: Settings) -> list[Size]:
    """The octaves' sizes, without those too small for the network.

    Raises:
        InputRefused: the picture itself is too small.
    """
    values = [value for value, _ in terms(model, settings)]
    spec = model.pictures
    data = model.graph.inputs[0]

    def reason(size: Size) -> str:
        try:
            infer_shapes(model.graph, {data: (1, len(spec.mean), *size)}, values)
        except InputRefused as error:
            return str(error)
        return ""

    sizes = octave_sizes((picture.shape[0], picture.shape[1]), settings.octaves, settings.octave_scale)
    usable = fitting(sizes, lambda size: not reason(size))
    if not usable:
        height, width = picture.shape[:2]
        raise InputRefused(f"the picture, {width} x {height}, is too small: {reason((height, width))}")
    return usable


def _at_size(spec: Preprocess, picture: np.ndarray) -> Preprocess:
    """The network's preprocessing for a picture of this size, uncropped; of a mean image, its channels' means."""
    return replace(spec, size=(picture.shape[0], picture.shape[1]), squash=None, mean=spec.mean_values)


def _bounds(spec: Preprocess, device: str) -> tuple[Tensor, Tensor]:
    """Black and white as the network sees them, 1 x C x 1 x 1."""
    mean = torch.from_numpy(spec.mean_values.copy()).to(device).reshape(1, -1, 1, 1)
    return -mean * spec.scale, (255 - mean) * spec.scale
