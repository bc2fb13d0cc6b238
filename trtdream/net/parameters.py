"""Messages that several layer kinds share, with Caffe's field names and defaults.

A frozen dataclass here, or a layer kind itself, *is* the schema of a prototxt message: the field's name, its
type and its default. `int` stands for an unsigned number; `Signed` for one that may be negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

Signed = Annotated[int, "signed"]


class Engine(StrEnum):
    """Which of Caffe's implementations to use. It changes no result; kept so that files survive a round trip."""

    DEFAULT = "DEFAULT"
    CAFFE = "CAFFE"
    CUDNN = "CUDNN"


class VarianceNorm(StrEnum):
    """Which fan the `xavier` and `msra` fillers divide by."""

    FAN_IN = "FAN_IN"
    FAN_OUT = "FAN_OUT"
    AVERAGE = "AVERAGE"


@dataclass(frozen=True)
class Filler:
    """How a weight starts; see `trtdream.net.fillers`."""

    type: str = "constant"
    value: float = 0.0
    min: float = 0.0
    max: float = 1.0
    mean: float = 0.0
    std: float = 1.0
    sparse: Signed = -1
    variance_norm: VarianceNorm = VarianceNorm.FAN_IN


@dataclass(frozen=True)
class BlobShape:
    """A blob's dimensions."""

    dim: tuple[Signed, ...] = ()


class Normalization(StrEnum):
    """What a loss is divided by: all positions, those not ignored, the batch size, or nothing."""

    FULL = "FULL"
    VALID = "VALID"
    BATCH_SIZE = "BATCH_SIZE"
    NONE = "NONE"


@dataclass(frozen=True)
class LossOptions:
    """`loss_param`. `normalize` is the older form of `normalization`, which wins where both stand."""

    ignore_label: Signed | None = None
    normalization: Normalization | None = None
    normalize: bool | None = None

    def mode(self, default: Normalization) -> Normalization:
        """The normalisation in force, where the kind's own default is `default`."""
        if self.normalization is not None:
            return self.normalization
        if self.normalize is not None:
            return Normalization.VALID if self.normalize else Normalization.BATCH_SIZE
        return default


@dataclass(frozen=True)
class Transformation:
    """`transform_param` of a data layer: what happens to a picture between the file and the blob."""

    scale: float = 1.0
    mirror: bool = False
    crop_size: int = 0
    mean_file: str = ""
    mean_value: tuple[float, ...] = ()
    force_color: bool = False
    force_gray: bool = False
