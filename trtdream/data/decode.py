"""DALI: from the bytes of image files to uint8 pixels of one size, on the CPU or the GPU.

Only reading, decoding and resizing happen here, at the places it is told; it draws no random number. DALI's
pipeline is dead after a decode error (its own rule), so a Decoder is cheap to make and is thrown away then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trtdream.data.order import Dice, bits, fraction
from trtdream.data.transform import Phase, Transform
from trtdream.errors import InputRefused, TrtdreamError

if TYPE_CHECKING:
    import torch

# The share of JPEGs given to a GPU's hardware decoder: DALI's own default, to be replaced by a measurement.
HARDWARE_LOAD = 0.9

HUGE = 100_000_000  # pixels of one picture: 300 MB decoded, and no photograph to train on


class DecodeFailed(Exception):
    """Something in the batch is no image that DALI can decode; it does not reliably say which."""


@dataclass(frozen=True)
class Geometry:
    """What a Decoder does to each picture: its output is C x height x width for all."""

    height: int
    width: int
    kind: str  # "squash", "short_side", "random_area", "none"
    short_side: int = 0

    @staticmethod
    def of(transform: Transform, phase: Phase) -> Geometry:
        """What a transform asks of the decoder in a phase; the rest is left to `Finish`."""
        crop = transform.crop or transform.size
        if phase == "TRAIN" and transform.random_area is not None:
            return Geometry(crop, crop, "random_area")
        if transform.resize == "short_side":
            return Geometry(crop, crop, "short_side", transform.size)
        return Geometry(transform.size, transform.size, transform.resize)


def windows(transform: Transform, phase: Phase, seed: int, positions: np.ndarray) -> np.ndarray:
    """N x 4 numbers (float32) that place each sample's window, for `Decoder.submit`: y, x in 0..1, area, aspect.

    y and x are the window's place among all that fit; area is a share of the picture, aspect is width / height.
    """
    count = len(positions)
    if phase == "TEST":
        return np.tile(np.array([0.5, 0.5, 1, 1], np.float32), (count, 1))
    low, high = transform.random_area or (1.0, 1.0)
    narrow, wide = np.log(transform.aspect)
    y, x, area, aspect = (
        fraction(bits(seed, positions, dice)) for dice in (Dice.CROP_Y, Dice.CROP_X, Dice.AREA, Dice.ASPECT)
    )
    drawn = [y, x, low + (high - low) * area, np.exp(narrow + (wide - narrow) * aspect)]
    return np.stack(drawn, axis=1).astype(np.float32)


def header_fault(content: np.ndarray) -> str | None:
    """Why DALI cannot take an image file's bytes (uint8), by their header; None if it can. Takes microseconds.

    Ask before `Decoder.submit`: a header that it cannot read, in a batch of more than 16, crashes the process in DALI
    2.3 and 2.4 (its parsing threads go on with what the error has freed). The codec below DALI says no politely.
    """
    from nvidia import nvimgcodec

    try:
        stream = nvimgcodec.CodeStream(content)
        height, width, kind = stream.height, stream.width, np.dtype(stream.dtype)
    except (RuntimeError, TypeError):  # TypeError: a kind of number that numpy, and DALI, has not
        return "has no header of an image"
    if height < 1 or width < 1 or kind.kind != "u":
        return f"has a header of {width} x {height} pixels of {kind}"
    return f"has {width} x {height} pixels, too many" if height * width > HUGE else None


class Decoder:
    """A queue of two: `submit` the bytes of a batch, later `fetch` its pixels, in order."""

    def __init__(self, geometry: Geometry, batch: int, threads: int, device: torch.device) -> None:
        """Build the DALI pipeline for at most `batch` samples at a time.

        Raises:
            TrtdreamError: DALI is not installed, or has no such device.
        """
        self.geometry = geometry
        self._device = device
        self._counts: deque[int] = deque()
        try:
            self._pipeline = _pipeline(geometry, batch, threads, device)
        except RuntimeError as error:
            raise TrtdreamError(f"DALI cannot decode on {device}: {_reason(error)}") from error

    def submit(self, encoded: Sequence[np.ndarray], windows: np.ndarray) -> None:
        """Start on a batch: N arrays of uint8 bytes, each with a header, and N x 4 windows."""
        self._pipeline.feed_input("encoded", list(encoded))
        if self.geometry.kind in ("short_side", "random_area"):
            self._pipeline.feed_input("window", list(windows))
        self._pipeline.schedule_run()
        self._counts.append(len(encoded))

    def fetch(self) -> torch.Tensor:
        """The pixels of the oldest batch: N x 3 x height x width uint8 (BGR), HWC in memory, on the device.

        They stay valid until the next `fetch`.

        Raises:
            DecodeFailed: a sample cannot be decoded. This object is then of no more use.
            InputRefused: the pictures have not one size, and nothing resizes them.
        """
        import torch

        self._counts.popleft()
        stream = torch.cuda.current_stream(self._device) if self._device.type == "cuda" else None
        try:
            (pictures,) = self._pipeline.outputs(cuda_stream=stream)
        except RuntimeError as error:
            raise DecodeFailed(_reason(error)) from error
        if not pictures.is_dense_tensor():
            raise InputRefused("the pictures have different sizes: let the recipe resize them (resize: squash)")
        return torch.from_dlpack(pictures.as_tensor()).permute(0, 3, 1, 2)


def _pipeline(geometry: Geometry, batch: int, threads: int, device: torch.device) -> Any:
    try:
        from nvidia.dali import fn, pipeline_def, types
    except ImportError as error:
        raise TrtdreamError("decoding needs DALI: pip install nvidia-dali-cuda120") from error
    on_gpu = device.type == "cuda"

    @pipeline_def(enable_conditionals=True)
    def graph() -> Any:
        encoded = fn.external_source(name="encoded", ndim=1, dtype=types.UINT8)
        if on_gpu:
            picture = fn.decoders.image(encoded, device="mixed", output_type=types.BGR, hw_decoder_load=HARDWARE_LOAD)
        else:
            picture = fn.decoders.image(encoded, device="cpu", output_type=types.BGR)
        return _resized(geometry, picture, encoded)

    pipeline = graph(
        batch_size=batch,
        num_threads=threads,
        device_id=(device.index or 0) if on_gpu else None,
        prefetch_queue_depth=2,
        exec_dynamic=True,
        exec_pipelined=False,  # else the first schedule_run wants two batches at once
    )
    pipeline.build()
    return pipeline


def _resized(geometry: Geometry, picture: Any, encoded: Any) -> Any:
    from nvidia.dali import fn, types

    # antialias=False: cv::resize's bilinear, which Caffe's convert_imageset used
    bilinear = {"interp_type": types.INTERP_LINEAR, "antialias": False}
    size = [geometry.height, geometry.width]
    if geometry.kind == "none":
        return picture
    if geometry.kind == "squash":
        shape = fn.peek_image_shape(encoded)
        # DALI decides this for each sample. A resize to its own size changes nothing and costs more than decoding.
        if (shape[0] == geometry.height) and (shape[1] == geometry.width):
            squashed = picture
        else:
            squashed = fn.resize(picture, size=size, **bilinear)
        return squashed
    window = fn.external_source(name="window", ndim=1, dtype=types.FLOAT)
    y, x, area, aspect = (window[i] for i in range(4))
    if geometry.kind == "short_side":
        whole = fn.resize(picture, resize_shorter=geometry.short_side, **bilinear)
        return fn.crop(whole, crop=size, crop_pos_y=y, crop_pos_x=x)
    start, end = _area_window(encoded, y, x, area, aspect)
    return fn.resize(picture, size=size, roi_start=start, roi_end=end, roi_relative=True, **bilinear)


def _area_window(encoded: Any, y: Any, x: Any, area: Any, aspect: Any) -> tuple[Any, Any]:
    from nvidia.dali import fn, math, types

    shape = fn.cast(fn.peek_image_shape(encoded), dtype=types.FLOAT)
    ratio = shape[1] / shape[0]  # width / height of the picture
    # h * w = area and (w / h) * ratio = aspect, in shares of the picture; what does not fit is clipped
    height = math.min(math.sqrt(area * ratio / aspect), 1.0)
    width = math.min(math.sqrt(area * aspect / ratio), 1.0)
    top, left = y * (1.0 - height), x * (1.0 - width)
    return fn.stack(top, left), fn.stack(top + height, left + width)


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    useful = [line for line in lines if line.startswith(("Failed to decode", "nvImageCodec"))]
    return (useful or lines or [""])[0]
