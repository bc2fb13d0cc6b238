"""A contact sheet of classified pictures, with what the network sees drawn under each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from trtdream.console import say
from trtdream.data.sheet import write_sheet
from trtdream.runtime.classify import Seen
from trtdream.runtime.image import load_image
from trtdream.runtime.model import Model
from trtdream.runtime.pictures import Named

_SIDE = 200  # pixels of a cell
_MOST = 400  # pictures on a sheet
_RIGHT, _WRONG, _BORDER = "#2e9e4f", "#d0342c", 4


def write_contact_sheet(path: Path, model: Model, named: Sequence[Named], seen: Sequence[Sequence[Seen]]) -> None:
    """Draw each picture above its surest class; framed green or red where its label is known.

    Raises:
        UsageError, TrtdreamError: as `write_sheet`.
    """
    if len(named) > _MOST:
        say(f"{path.name}: the first {_MOST} of {len(named)} pictures are drawn")
    pairs = list(zip(named, seen, strict=True))[:_MOST]
    cells = np.stack([_cell(one, each[0]) for one, each in pairs])
    captions = [_caption(model, one, each[0]) for one, each in pairs]
    columns = min(8, max(3, round(len(pairs) ** 0.5)))
    write_sheet(path, cells, captions, columns, {"command": "classify", **model.provenance})


def _cell(one: Named, surest: Seen) -> np.ndarray:
    """The picture, whole, in the middle of a square: _SIDE x _SIDE x 3."""
    picture = Image.fromarray(load_image(one.path))
    fitted = ImageOps.contain(picture, (_SIDE - 2 * _BORDER, _SIDE - 2 * _BORDER))
    frame = "white" if one.label is None else _RIGHT if one.label == surest.index else _WRONG
    cell = Image.new("RGB", (_SIDE, _SIDE), "white")
    left, top = (_SIDE - fitted.width) // 2, (_SIDE - fitted.height) // 2
    cell.paste(frame, (left - _BORDER, top - _BORDER, left + fitted.width + _BORDER, top + fitted.height + _BORDER))
    cell.paste(fitted, (left, top))
    return np.asarray(cell)


def _caption(model: Model, one: Named, surest: Seen) -> str:
    told = f"{surest.probability:.2f} {_short(surest.label)}"
    wrong = one.label is not None and one.label != surest.index
    return f"{told} (is {_short(model.label(one.label or 0))})" if wrong else told


def _short(label: str) -> str:
    """`n02123159 tiger cat, ...` as `tiger cat`."""
    first, _, rest = label.partition(" ")
    words = rest if rest and first[1:].isdigit() else label
    return words.partition(",")[0]
