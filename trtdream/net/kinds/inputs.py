"""Where blobs come from: Input, the data layers (which are inputs here, fed by the data room), and Parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from trtdream.net.kind import MANY, Kind, Phase, Reach, Shape, Weight, beside, layer_kind
from trtdream.net.parameters import BlobShape, Filler, Transformation

if TYPE_CHECKING:
    from torch import Tensor

    from trtdream.net.onnx_form import OnnxLayer

_COLOURS = 3
T = TypeVar("T")


class UnknownShape(ValueError):
    """The prototxt does not say how large a data layer's tops are; the caller must."""


@dataclass(frozen=True)
class _Source(Kind):
    bottoms = (0, 0)
    is_input = True


@layer_kind("Input", message="input_param")
@dataclass(frozen=True)
class Input(_Source):
    """Blobs given from outside, of one shape each, or of one for all."""

    shape: tuple[BlobShape, ...] = ()

    tops = (1, MANY)

    def reach(self) -> Reach:
        return Reach()

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        if not self.shape:
            raise UnknownShape("input_param has no shape")
        return _one_a_top([shape.dim for shape in self.shape], tops, "shapes")


@layer_kind("DummyData", message="dummy_data_param", v1="DUMMY_DATA")
@dataclass(frozen=True)
class DummyData(_Source):
    """Blobs of given shapes; Caffe fills them, here they are inputs."""

    data_filler: tuple[Filler, ...] = ()
    num: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    height: tuple[int, ...] = ()
    width: tuple[int, ...] = ()
    shape: tuple[BlobShape, ...] = ()

    tops = (1, MANY)

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        legacy = (self.num, self.channels, self.height, self.width)
        if self.shape and any(legacy):
            raise ValueError("give shape, or the older num, channels, height and width")
        if self.shape:
            return _one_a_top([shape.dim for shape in self.shape], tops, "shapes")
        each = [_one_a_top(sizes, tops, "sizes (num, channels, height or width)") for sizes in legacy]
        return [tuple(sizes) for sizes in zip(*each, strict=True)]


class Database(StrEnum):
    LEVELDB = "LEVELDB"
    LMDB = "LMDB"


@dataclass(frozen=True)
class Pictures(_Source):
    """A data layer with a batch of pictures and, if it has a second top, their labels."""

    source: str = ""
    batch_size: int = 0
    transform: Transformation = beside("transform_param", Transformation())

    tops = (1, 2)

    def check(self) -> None:
        if self.batch_size < 1:
            raise ValueError("batch_size must be at least 1")

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        height, width = self._sides()
        return [(self.batch_size, self._channels(), height, width), (self.batch_size,)][:tops]

    def _sides(self) -> tuple[int, int]:
        if not self.transform.crop_size:
            raise UnknownShape("without crop_size only the data know the pictures' size")
        return self.transform.crop_size, self.transform.crop_size

    def _channels(self) -> int:
        return 1 if self.transform.force_gray else _COLOURS


@layer_kind("Data", message="data_param", v1="DATA")
@dataclass(frozen=True)
class Data(Pictures):
    """Pictures and labels from an LMDB or LevelDB."""

    rand_skip: int = 0
    backend: Database = Database.LEVELDB
    force_encoded_color: bool = False
    prefetch: int = 4


@layer_kind("ImageData", message="image_data_param", v1="IMAGE_DATA")
@dataclass(frozen=True)
class ImageData(Pictures):
    """Pictures and labels from a list file."""

    batch_size: int = 1
    rand_skip: int = 0
    shuffle: bool = False
    new_height: int = 0
    new_width: int = 0
    is_color: bool = True
    root_folder: str = ""

    def _sides(self) -> tuple[int, int]:
        if not self.transform.crop_size and self.new_height and self.new_width:
            return self.new_height, self.new_width
        return super()._sides()

    def _channels(self) -> int:
        return super()._channels() if self.is_color else 1


@layer_kind("WindowData", message="window_data_param", v1="WINDOW_DATA")
@dataclass(frozen=True)
class WindowData(Pictures):
    """Windows of pictures and their labels, from a list of boxes."""

    fg_threshold: float = 0.5
    bg_threshold: float = 0.5
    fg_fraction: float = 0.25
    context_pad: int = 0
    crop_mode: str = "warp"
    cache_images: bool = False
    root_folder: str = ""


@layer_kind("MemoryData", message="memory_data_param", v1="MEMORY_DATA")
@dataclass(frozen=True)
class MemoryData(_Source):
    """Arrays handed over in memory, and their labels."""

    batch_size: int = 0
    channels: int = 0
    height: int = 0
    width: int = 0
    transform: Transformation = beside("transform_param", Transformation())

    tops = (2, 2)

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        return [(self.batch_size, self.channels, self.height, self.width), (self.batch_size,)]


@layer_kind("HDF5Data", message="hdf5_data_param", v1="HDF5_DATA")
@dataclass(frozen=True)
class HDF5Data(_Source):
    """Rows of the datasets that are named as the tops, from a list of HDF5 files."""

    source: str = ""
    batch_size: int = 0
    shuffle: bool = False

    tops = (1, MANY)

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        raise UnknownShape("only the HDF5 files know the shapes")


def _one_a_top(given: Sequence[T], tops: int, what: str) -> list[T]:
    """One value for each top, where one may be given for all."""
    if len(given) not in (1, tops):
        raise ValueError(f"{len(given)} {what} for {tops} tops")
    return list(given) * (tops if len(given) == 1 else 1)


@layer_kind("Parameter", message="parameter_param")
@dataclass(frozen=True)
class Parameter(Kind):
    """A learned blob without a bottom."""

    shape: BlobShape = BlobShape()

    bottoms = (0, 0)

    def top_shapes(self, bottoms: Sequence[Shape], tops: int) -> Sequence[Shape]:
        return [self.shape.dim]

    def weights(self, bottoms: Sequence[Shape]) -> Sequence[Weight]:
        return [Weight(self.shape.dim)]

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        return [weights[0]]

    def to_onnx(self, layer: OnnxLayer) -> None:
        layer.top("Identity", layer.weight(0))
