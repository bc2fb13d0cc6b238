"""Visualised units as files: what they are called, and what made them in their metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from trtdream.data.sheet import draw_sheet
from trtdream.dream.provenance import metadata
from trtdream.dream.units import Unit
from trtdream.dream.visualize import Climb, Visualised
from trtdream.runtime.image import save_image
from trtdream.runtime.model import Model


def record(model: Model, net: str | None, climb: Climb, units: Sequence[Unit] = ()) -> dict[str, Any]:
    """What made visualised pictures: the network (and what it was asked for as), the units, how they climbed."""
    return {
        **model.provenance,
        "weights": Path(model.weights.origin).name,
        "net": net,
        "units": [asdict(unit) for unit in units],
        "visualize": asdict(climb),
    }


def picture_name(model: Model, units: Sequence[Unit]) -> Path:
    """`GoogleNet_inception_4c_output_447.png`."""
    parts = [model.net.name, units[0].value, *(str(unit.channel) for unit in units[:1] if unit.channel is not None)]
    return Path("_".join(parts).replace("/", "_").replace("@", "_at_") + ("_and_more.png" if units[1:] else ".png"))


def save_visualised(path: Path, made: Visualised, units: Sequence[Unit], made_by: dict[str, Any]) -> None:
    """Write one picture as it is, several as a sheet with their channels below them; `made_by` goes along.

    Raises:
        TrtdreamError: it cannot be written.
    """
    if len(units) == 1:
        save_image(path, made.pictures[0], metadata(made_by))
    else:
        save_sheet(path, made.pictures, [str(unit.channel) for unit in units], made_by)


def save_sheet(path: Path, pictures: np.ndarray, titles: Sequence[str], made_by: Mapping[str, Any]) -> None:
    """Write N x S x S x 3 uint8 pictures, each above its title, as a sheet that is a little wider than high.

    Raises:
        TrtdreamError: it cannot be written.
    """
    columns = math.ceil(math.sqrt(len(pictures) * 1.3))
    save_image(path, np.array(draw_sheet(pictures, titles, columns)), metadata(made_by))
