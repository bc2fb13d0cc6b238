"""What a dream is made of: each key of a dream recipe, its type and its default (the original notebook's)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from trtdream.recipe.schema import Amount, Positive, Section, Whole

Size = tuple[int, int]  # height, width
Fraction = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(allow_inf_nan=False)]


class Weighted(Section):
    """What grows, and how much it counts: `68` and `inception_3b/output:0.5` do as well."""

    name: str
    weight: Weight = 1.0

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, int | str) and not isinstance(value, bool):
            name, weight = weighted(str(value))
            return {"name": name, "weight": weight}
        return value


class Layer(Weighted):
    """A layer that shall grow, and what of it: `{name: inception_4c/output, weight: 0.5, channels: [3, 7]}`.

    Attributes:
        name: an index into the blob list, a layer or a blob.
        weight: how much it counts; negative to shrink it.
        channels: only these.
        at: only the place there, as fractions of the way across and down.
        direction: only what lies along this vector, a number for each channel.
        objective: by name (see `trtdream.dream.objectives`); by default what the other keys ask for.
    """

    channels: tuple[Whole, ...] = ()
    at: tuple[Fraction, Fraction] | None = None
    direction: tuple[float, ...] = ()
    objective: str | None = None

    def faults(self) -> Sequence[str]:
        if self.at is not None and not self.channels:
            return ["at: a neuron is a place in a channel: give channels too"]
        if self.direction and self.channels:
            return ["direction: weighs every channel: leave out channels"]
        return ()


class ClassScore(Weighted):
    """A class whose score, before the softmax, shall grow: by its number, its label or a word of it."""


class Settings(Section):
    """How to dream; the defaults are the original notebook's.

    Attributes:
        layers: what grows; several add up, each times its weight. Empty with `classes`, or else layer 68.
        classes: classes whose scores grow.
        guide: a picture whose features the layers shall resemble.
        mask: a picture that is white where the dream may go; `feather` pixels soft at its edges.
        octaves, octave_scale: how many sizes, and how much larger each is than the one before.
        sizes: the octaves' sizes themselves, (height, width) or "WxH" each, instead of the two.
        iterations: steps an octave.
        step: how far a step goes: this many grey levels where the gradient is as large as it is on average.
        strength: factors of `step` from the first octave to the last, spread evenly over them.
        jitter: the most pixels a step's picture is rolled by, each way.
        seed: of the jitter.
        ascent: the plain step, or with momentum, or Adam's.
        momentum: how much of the last step goes on, in the ascent of that name (and Adam's first beta).
        normalise: what the gradient is divided by: its mean magnitude, its root mean square, or that of each
            level of its Laplacian pyramid.
        tv: how much neighbouring pixels are pulled together, in parts of the step.
        l2: how much pixels are pulled to mid-grey (the mean), in parts of the step.
        keep_colours: whether the dream changes brightness only.
        classic: the notebook to the number: its mean of 104, 116, 122, and pixels cut off instead of rounded.
    """

    layers: tuple[Layer, ...] = ()
    classes: tuple[ClassScore, ...] = ()
    guide: Path | None = None
    mask: Path | None = None
    feather: Whole = 0
    octaves: Positive = 4
    octave_scale: Annotated[float, Field(gt=1, le=100)] = 1.4
    sizes: tuple[Size, ...] = ()
    iterations: Positive = 10
    step: Annotated[float, Field(gt=0, le=1000)] = 1.5
    strength: tuple[Amount, ...] = (1.0,)
    jitter: Whole = 32
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    ascent: Literal["step", "momentum", "adam"] = "step"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    normalise: Literal["mean", "rms", "laplacian"] = "mean"
    tv: Amount = 0.0
    l2: Amount = 0.0
    keep_colours: bool = False
    classic: bool = False

    @field_validator("sizes", mode="before")
    @classmethod
    def _sizes_from_text(cls, value: Any) -> Any:
        return [parse_size(each) if isinstance(each, str) else each for each in _listed(value)]

    @field_validator("layers", "classes", "strength", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return _listed(value)

    def faults(self) -> Sequence[str]:
        found = []
        if self.guide is not None and (self.classes or any(_part_of(layer) for layer in self.layers)):
            found.append("guide: takes layers with all their channels: leave out channels, places and classes")
        if any(min(size) < 1 for size in self.sizes):
            found.append("sizes: sides are 1 at least")
        if list(self.sizes) != sorted(self.sizes):
            found.append("sizes: must rise")
        if not self.strength:
            found.append("strength: one factor at least")
        if self.feather and self.mask is None:
            found.append("feather: is the softness of a mask: give mask too")
        return found

    @property
    def targets(self) -> tuple[Layer, ...]:
        """The layers that grow: those named, else the notebook's, unless there are classes."""
        return self.layers or (() if self.classes else (Layer(name="68"),))

    @property
    def missing_files(self) -> Mapping[str, Path]:
        """Files named that are not there, by key."""
        return {key: file for key in ("guide", "mask") if (file := getattr(self, key)) and not file.exists()}


def weighted(text: str) -> tuple[str, float]:
    """`inception_3b/output:0.5`: a name and how much it counts; a ":" without a number belongs to the name."""
    name, _, weight = text.rpartition(":")
    try:
        return (name, float(weight)) if name else (text, 1.0)
    except ValueError:
        return text, 1.0


def parse_size(text: str) -> Size:
    """`640x480`, width first, as height and width.

    Raises:
        ValueError: something else.
    """
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ValueError(f"a size is WIDTHxHEIGHT, as in 640x480; not {text!r}")
    return int(height), int(width)


def _part_of(layer: Layer) -> bool:
    return bool(layer.channels or layer.direction or layer.at or layer.objective not in (None, "guide"))


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]
