"""Pictures from and to files, and the squash that Caffe's databases were made with."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from trtdream.errors import InputRefused, UsageError
from trtdream.files import read_file, replacing

MAX_PIXELS = 2**29 // 3
"""The most pixels (width x height) a picture may claim: 512 MiB as RGB, and Pillow's own last limit."""

MIN_SIDE = 8
"""The fewest pixels a side of a picture may have: less shows nothing that a network could see."""

READ_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")

# suffix -> format, the longest side that the format can hold, how Pillow is told to write it
_WRITE_FORMATS: dict[str, tuple[str, int, dict[str, Any]]] = {
    ".png": ("PNG", 2**31 - 1, {}),
    ".jpg": ("JPEG", 65_500, {"quality": 95, "subsampling": "4:4:4"}),
    ".jpeg": ("JPEG", 65_500, {"quality": 95, "subsampling": "4:4:4"}),
    ".webp": ("WEBP", 16_383, {"quality": 95}),
}
_EXIF_TEXT_LIMIT = 60_000  # bytes; a JPEG's EXIF block holds at most 64 KiB
_ASCII = b"ASCII\0\0\0"  # how EXIF marks the character code of a UserComment

_UPRIGHT = {  # EXIF's Orientation -> what turns the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_image(path: Path) -> np.ndarray:
    """The picture in a JPEG, PNG, WebP, BMP, TIFF or GIF (its first frame) file, H x W x 3 uint8, RGB.

    Greyscale, palette, CMYK and 1-bit become RGB, alpha is dropped, 16 bits keep their upper 8 (all as
    Caffe's loader, cv2.imread, does), and a camera's EXIF rotation is applied.

    Raises:
        UsageError: there is no such file.
        InputRefused: no picture, damaged or cut off, more than MAX_PIXELS, a side under MIN_SIDE, or
            numbers without a stated white (floating point, 32-bit).
    """
    content = read_file(path)
    with _opened(content, path) as image:
        image.load()
        if image.format == "JPEG" and _ends_early(image, content):
            raise InputRefused(f"{path}: is damaged: a JPEG whose data end before its picture does")
        return np.array(_as_rgb(image))


def resize_bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Squash or stretch `image`, H x W x C uint8, to height x width x C uint8, as convert_imageset does.

    cv::resize's bilinear: half-pixel centres, edges clamped, no antialiasing, 11-bit weights and its
    order of roundings, so that the result equals convert_imageset's to the last bit.
    """
    if image.dtype != np.uint8 or image.ndim != 3:
        raise ValueError(f"an H x W x C uint8 picture is wanted, not {image.shape} {image.dtype}")
    if image.shape[:2] == (height, width):
        return image
    top, bottom, down = _taps(image.shape[0], height)
    left, right, across = _taps(image.shape[1], width)
    across = across[:, None]
    rows = image[:, left] * (2048 - across) + image[:, right] * across  # H x width x C, 19 bits
    rows >>= 4
    down = down[:, None, None]
    mixed = (rows[top] * (2048 - down) >> 16) + (rows[bottom] * down >> 16)  # height x width x C, 10 bits
    return ((mixed + 2) >> 2).astype(np.uint8)


def check_writable(path: Path) -> None:
    """Raises UsageError if the suffix names no format that `save_image` writes: to be asked before long work."""
    if path.suffix.lower() not in _WRITE_FORMATS:
        raise UsageError(f"{path}: pictures are written as {', '.join(_WRITE_FORMATS)}, not as {path.suffix!r}")


def save_image(path: Path, rgb: np.ndarray, metadata: Mapping[str, str]) -> None:
    """Write `rgb`, H x W x 3 uint8, to `path` whole or not at all; its suffix names the format.

    PNG; JPEG (quality 95, 4:4:4); WebP (quality 95). `metadata` goes into PNG's text chunks, for JPEG and
    WebP as one JSON object into EXIF's UserComment; `read_metadata` reads all of them.

    Raises:
        UsageError: another suffix, or more pixels a side or more metadata than the format holds.
        TrtdreamError: the file cannot be written.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"an H x W x 3 uint8 picture is wanted, not {rgb.shape} {rgb.dtype}")
    check_writable(path)
    kind, longest, options = _WRITE_FORMATS[path.suffix.lower()]
    if max(rgb.shape[:2]) > longest:
        raise UsageError(f"{path}: {kind} holds at most {longest} pixels a side; write a .png")
    carried: dict[str, Any]
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        for key, value in metadata.items():
            text.add_text(key, value)  # iTXt where Latin-1 does not do
        carried = {"pnginfo": text}
    else:
        carried = {"exif": _exif(metadata, path)} if metadata else {}
    with replacing(path) as temporary:
        Image.fromarray(rgb).save(temporary, format=kind, **options, **carried)


def read_metadata(path: Path) -> dict[str, str]:
    """What `save_image` wrote beside the pixels of `path`; empty for a picture that carries nothing.

    Raises: as `load_image`.
    """
    with _opened(read_file(path), path) as image:
        if isinstance(image, PngImagePlugin.PngImageFile):
            return {key: str(value) for key, value in image.text.items()}
        comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment, b"")
    try:
        document = json.loads(comment.removeprefix(_ASCII))
    except (ValueError, AttributeError):
        return {}  # a comment of somebody else's
    return {key: str(value) for key, value in document.items()} if isinstance(document, dict) else {}


def pictures_in(path: Path) -> int:
    """How many pictures the file holds: more than one if it moves.

    Raises: as `load_image`.
    """
    with _opened(read_file(path), path) as image:
        return getattr(image, "n_frames", 1)


def durations_in(path: Path) -> list[int]:
    """How long each picture of a file that moves is shown, in milliseconds; 100 where it does not say, as browsers do.

    Raises: as `load_image`.
    """
    with _opened(read_file(path), path) as image:
        return [_duration(image, index) for index in range(getattr(image, "n_frames", 1))]


def moving_frames(path: Path, begin: int = 0) -> Iterator[np.ndarray | InputRefused]:
    """The pictures of a file that moves from number `begin` on, counted from 0, each as `load_image` gives them.

    One that is damaged is an InputRefused instead, which says so.

    Raises: as `load_image`.
    """
    with _opened(read_file(path), path) as image:
        for index in range(begin, getattr(image, "n_frames", 1)):
            try:
                image.seek(index)
                found: np.ndarray | InputRefused = np.array(_as_rgb(image))
            except Exception as error:  # as in `_opened`
                reason = " ".join(str(error).split()) or type(error).__name__
                found = InputRefused(f"{path}: frame {index + 1} is damaged ({reason})")
            yield found


def _duration(image: Image.Image, index: int) -> int:
    image.seek(index)
    image.load()
    return round(image.info.get("duration", 0)) or 100


@contextmanager
def _opened(content: bytes, path: Path) -> Iterator[Image.Image]:
    """The picture with its header read and judged, its pixels still to be decoded in the block."""
    try:
        # Pillow warns of doubtful EXIF and of many pixels; here it is a refusal or nothing
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(content), formats=READ_FORMATS) as image,
        ):
            _judge_header(image, path)
            yield image
    except InputRefused:
        raise
    except Image.DecompressionBombError as error:
        raise InputRefused(f"{path}: claims more pixels than the {MAX_PIXELS:,} allowed") from error
    except Image.UnidentifiedImageError as error:
        kinds = ", ".join(READ_FORMATS)
        raise InputRefused(f"{path}: is not a picture that can be read ({kinds})") from error
    except Exception as error:  # Pillow's decoders raise anything on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputRefused(f"{path}: is damaged or cut off ({reason})") from error


def _judge_header(image: Image.Image, path: Path) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputRefused(f"{path}: claims {width} x {height} pixels, more than the {MAX_PIXELS:,} allowed")
    if min(width, height) < MIN_SIDE:
        raise InputRefused(f"{path}: is {width} x {height} pixels; a side must have {MIN_SIDE} at least")
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):  # old Pillow: 16-bit PNG is "I"
        raise InputRefused(f"{path}: holds floating-point or 32-bit pixels; save it with 8 or 16 bits first")


def _ends_early(image: Image.Image, content: bytes) -> bool:
    """Whether libjpeg made up the end of the picture, of which Pillow says nothing.

    It fills what a scan lacks with mid-grey, down to the last pixel. A real picture may end in that grey
    too, but more data after its end do not change it; a scan that lacks data would take them for its own.
    """
    corner = image.getpixel((image.width - 1, image.height - 1))
    if corner not in (128, (128, 128, 128)):
        return False
    end = content.rfind(b"\xff\xd9")  # the end-of-image marker
    more = bytes(range(64))
    restarts = b"".join(bytes([0xFF, 0xD0 + n]) + more for n in range(8))  # for a scan that waits for one
    longer = content[:end] + more + restarts + content[end:]
    return Image.open(io.BytesIO(longer), formats=["JPEG"]).tobytes() != image.tobytes()


def _as_rgb(image: Image.Image) -> Image.Image:
    orientation = _orientation(image)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> _surplus_bits(image)).astype(np.uint8))
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    return image.convert("RGB")


def _surplus_bits(image: Image.Image) -> int:
    """How many bits more than 8 a pixel of a deep grey picture has: 8, or 4 in a 12-bit TIFF."""
    bits_per_sample = getattr(image, "tag_v2", {}).get(258, (16,))
    return int(bits_per_sample[0]) - 8


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a damaged EXIF block does not make the picture unreadable
        return 1


def _taps(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `new` samples the two of `old` it lies between, and the second one's weight of 2048."""
    place = ((np.arange(new) + 0.5) * (old / new) - 0.5).clip(0, old - 1)
    first = place.astype(np.intp)
    weight = np.rint((place - first).astype(np.float32) * 2048).astype(np.int32)
    return first, np.minimum(first + 1, old - 1), weight


def _exif(metadata: Mapping[str, str], path: Path) -> Image.Exif:
    comment = _ASCII + json.dumps(dict(metadata)).encode("ascii")
    if len(comment) > _EXIF_TEXT_LIMIT:
        raise UsageError(f"{path}: {len(comment)} bytes of metadata are too many here; write a .png")
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return exif
