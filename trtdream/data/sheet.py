"""Contact sheets: a batch as the network sees it, the mean added back, with labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from trtdream import __version__
from trtdream.data.feed import Batch
from trtdream.data.loader import Loader
from trtdream.data.sources import Listing, Source
from trtdream.data.transform import place
from trtdream.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

_GAP, _TEXT = 6, 14


def seen(loader: Loader, batch: Batch) -> np.ndarray:
    """The pixels of a batch with scale and mean undone: N x H x W x 3 uint8, RGB (grey for one channel)."""
    transform, feed = loader.transform, loader.feed
    data = batch.data.float().cpu().numpy() / transform.scale
    count, channels, height, width = data.shape
    _, full_height, full_width = loader.picture_shape or (channels, height, width)
    mean = transform.mean(channels, full_height, full_width)
    if mean is not None and mean.shape[1] == 1:
        data = data + mean
    elif mean is not None:
        positions = np.arange(batch.position, batch.position + count)
        spots = place(transform, feed.phase, feed.seed, positions, full_height, full_width)
        for i, (y, x, mirror) in enumerate(zip(spots.y, spots.x, spots.mirror, strict=True)):
            patch = mean[:, y : y + height, x : x + width]
            data[i] += patch[:, :, ::-1] if mirror else patch
    pixels = np.clip(np.rint(data), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return pixels[..., ::-1] if channels == 3 else np.repeat(pixels[..., :1], 3, axis=3)


def write_sheet(path: Path, pixels: np.ndarray, captions: Sequence[str], columns: int, made_by: dict[str, Any]) -> None:
    """Write `draw_sheet` as a PNG or JPEG.

    `made_by` is written into the file beside the version, so that it tells how it came about.
    """
    _save(draw_sheet(pixels, captions, columns), path, made_by)


def draw_sheet(pixels: np.ndarray, captions: Sequence[str], columns: int) -> Image:
    """N x H x W x 3 uint8 pictures (RGB) in rows of `columns`, each above its caption."""
    from PIL import Image, ImageDraw

    count, height, width, _ = pixels.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    cell_w, cell_h = width + _GAP, height + _TEXT + _GAP
    sheet = Image.new("RGB", (columns * cell_w + _GAP, rows * cell_h + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for i, caption in enumerate(captions):
        left, top = _GAP + i % columns * cell_w, _GAP + i // columns * cell_h
        sheet.paste(Image.fromarray(np.ascontiguousarray(pixels[i])), (left, top))
        while caption and pen.textlength(caption) > width:
            caption = caption[:-1]
        pen.text((left, top + height + 1), caption, fill="black")
    return sheet


def write_picture(path: Path, mean: np.ndarray, made_by: dict[str, Any]) -> None:
    """Write a C x H x W mean image (BGR or grey, 0..255) as a PNG or JPEG."""
    from PIL import Image

    pixels = np.clip(np.rint(mean), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    shown = pixels[..., ::-1] if pixels.shape[2] == 3 else np.repeat(pixels[..., :1], 3, axis=2)
    _save(Image.fromarray(np.ascontiguousarray(shown)), path, made_by)


def captions(source: Source, batch: Batch) -> list[str]:
    """A line for each sample: its label, the class's name where it is known, else the sample's own."""
    names = source.classes if isinstance(source, Listing) else ()
    labels = batch.label.cpu().tolist()
    return [
        f"{label} {names[label] if label < len(names) else PurePath(source.name(int(index))).name}"
        for label, index in zip(labels, batch.indices, strict=True)
    ]


def _save(picture: Image, path: Path, made_by: dict[str, Any]) -> None:
    from PIL import PngImagePlugin

    note = json.dumps({"trtdream": __version__, **made_by})
    with replacing(path) as temporary:
        if path.suffix.lower() in (".jpg", ".jpeg"):
            exif = picture.getexif()
            exif[0x010E] = note  # ImageDescription
            picture.save(temporary, "JPEG", quality=90, exif=exif)
        else:
            info = PngImagePlugin.PngInfo()
            info.add_text("trtdream", note)
            picture.save(temporary, "PNG", pnginfo=info)
