"""An atlas of a network: a picture for each of its layers, or for each channel of one layer."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trtdream.dream.plates import save_sheet
from trtdream.dream.units import Unit
from trtdream.dream.visualize import Climb, visualize, width_of
from trtdream.errors import InputRefused
from trtdream.net.kind import Phase
from trtdream.net.listing import list_blobs
from trtdream.page import Grid, Heading, Paragraph, Part, Picture, write_page
from trtdream.runtime.model import Model

_SHOW_NOTHING_NEW = {"Split", "Dropout", "Softmax", "Flatten", "Reshape", "Silence", "Accuracy", "ArgMax"}
_BATCH = 8  # channels at once: what a GPU is filled by at these sizes; two CPU cores do not care


@dataclass(frozen=True)
class Wanted:
    """A picture to be made: of which unit, and what it is called."""

    unit: Unit
    title: str


@dataclass(frozen=True)
class Plate:
    """A picture of an atlas, S x S x 3 uint8 RGB, and the unit's response to it."""

    title: str
    picture: np.ndarray
    response: float

    @property
    def name(self) -> str:
        """The title without a layer's index, for where there is little room."""
        return self.title.split()[-1]


@dataclass(frozen=True)
class Atlas:
    """The plates made, the titles of those that could not be and why, and whether Ctrl-C cut it short."""

    plates: tuple[Plate, ...]
    failed: tuple[tuple[str, str], ...] = ()
    interrupted: bool = False


def every_layer(model: Model) -> list[Wanted]:
    """Each blob of the network, as a whole, that is made of pictures and not only passes on what another holds."""
    chosen = []
    for row in list_blobs(model.net, Phase.TEST):
        kind = model.graph.values[row.blob].layer.kind if row.blob in model.graph.values else None
        if kind is None or kind.is_input or kind.is_loss or row.kind in _SHOW_NOTHING_NEW:
            continue
        chosen.append(Wanted(Unit(row.blob), f"{row.index:04d} {row.blob}"))
    return chosen


def every_channel(model: Model, layer: str, channels: Sequence[int] = ()) -> list[Wanted]:
    """Each channel of a layer, or those named.

    Raises:
        UsageError: no such layer or channel.
    """
    _, value = model.resolve(layer)
    chosen = channels or range(width_of(model, value))
    return [Wanted(Unit(value, channel), str(channel)) for channel in chosen]


def make_atlas(
    model: Model,
    wanted: Sequence[Wanted],
    climb: Climb,
    device: str = "cpu",
    on_step: Callable[[int], None] = lambda _: None,
) -> Atlas:
    """Make the pictures, those of one layer in batches. Ctrl-C ends it with the batches that are done.

    Args:
        on_step: told how many pictures are a step further.

    Raises:
        UsageError: no such channel.
    """
    plates: list[Plate] = []
    failed: list[tuple[str, str]] = []
    for batch in _batches(wanted):
        units = [one.unit for one in batch]
        try:
            made = visualize(model, units, climb, device, partial(on_step, len(batch)))
        except InputRefused as error:
            failed += [(one.title, str(error)) for one in batch]
            continue
        except KeyboardInterrupt:
            return Atlas(tuple(plates), tuple(failed), interrupted=True)
        if made.interrupted:
            return Atlas(tuple(plates), tuple(failed), interrupted=True)
        for one, picture, response in zip(batch, made.pictures, made.last, strict=True):
            plates.append(Plate(one.title, picture, response))
    return Atlas(tuple(plates), tuple(failed))


def write_atlas(sheet: Path, html: Path, title: str, atlas: Atlas, made_by: dict[str, Any]) -> None:
    """Write an atlas's plates, one at least, as a contact sheet (PNG) and as a page that holds them all.

    Raises:
        TrtdreamError: one cannot be written.
    """
    pixels = np.stack([plate.picture for plate in atlas.plates])
    save_sheet(sheet, pixels, [plate.name for plate in atlas.plates], made_by)
    figures = [
        Picture(_jpeg(plate.picture), f"what {plate.title} answers to", f"{plate.title} ({plate.response:.4g})")
        for plate in atlas.plates
    ]
    parts: list[Part] = [
        Paragraph(
            "Each picture was made from noise so that what is named below it answers to it as strongly as it can."
        ),
        Grid(figures),
        *([Heading("Not made")] if atlas.failed else []),
        *(Paragraph(f"{name}: {reason}") for name, reason in atlas.failed),
        Heading("Made by"),
        Paragraph(", ".join(f"{key} {value}" for key, value in made_by.items())),
    ]
    write_page(html, title, parts)


def _batches(wanted: Sequence[Wanted]) -> list[Sequence[Wanted]]:
    """Runs of one value, none longer than `_BATCH`."""
    batches: list[list[Wanted]] = []
    for one in wanted:
        if not batches or batches[-1][0].unit.value != one.unit.value or len(batches[-1]) == _BATCH:
            batches.append([])
        batches[-1].append(one)
    return list(batches)


def _jpeg(picture: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "JPEG", quality=88)
    return content.getvalue()
