"""Making a picture again from the record that it carries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import ValidationError

from trtdream.dream.computing import PRECISIONS, Computing
from trtdream.dream.dreamer import Dreamer, usable_octaves
from trtdream.dream.octaves import Size
from trtdream.dream.provenance import record
from trtdream.dream.units import Unit
from trtdream.dream.views import Wobble
from trtdream.dream.visualize import Climb
from trtdream.errors import InputRefused
from trtdream.files import sha256
from trtdream.recipe.dream_schema import Settings
from trtdream.runtime.image import load_image, read_metadata
from trtdream.runtime.model import Model
from trtdream.runtime.pictures import SUFFIXES


@dataclass(frozen=True)
class Ready:
    """All set to be dreamt again: into which file, its picture H x W x 3 uint8 RGB, and the record of the new one."""

    dreamer: Dreamer
    source: Path
    picture: np.ndarray
    made_by: dict[str, Any]


def read_record(picture: Path) -> dict[str, Any]:
    """What the picture says made it (see `trtdream.dream.provenance.record` and `trtdream.dream.plates.record`).

    Raises:
        UsageError: no such file.
        InputRefused: it is no picture, says nothing, is a frame of a film, or shows something else of a dream.
    """
    try:
        made_by = json.loads(read_metadata(picture).get("trtdream", "null"))
    except ValueError:
        made_by = None
    if not isinstance(made_by, dict) or not {"settings", "visualize"} & set(made_by):
        raise InputRefused(
            f"{picture}: carries no record of a dream: trtdream did not make it, or another program saved it again"
        )
    if made_by.get("shows") == "explain":
        raise InputRefused(f"{picture}: is no dream, but shows where one looks; `--explain` draws it again")
    if "frame" in made_by:
        raise InputRefused(
            f"{picture}: is {made_by['frame']} of a film, which depends on those before it; make the film again"
        )
    return made_by


def prepare(model: Model, made_by: Mapping[str, Any], picture: Path, device: str, longest: int | None) -> Ready:
    """The dream that a record tells of, ready to be dreamt again.

    Args:
        longest: the longer side that the new picture is to have; None for the old one's.

    Raises:
        InputRefused: its source, guide or mask is not found or is another one now, or its settings cannot be read.
    """
    settings = recorded_settings(made_by, picture)
    source = find_file(made_by, "source", picture)
    pixels = load_image(source)
    if longest is not None:
        then = (pixels.shape[0], pixels.shape[1])
        pixels = enlarged(pixels, longest)
        settings = settings_for(model, settings, then, (pixels.shape[0], pixels.shape[1]))
    dreamer = Dreamer(model, settings, Computing(device, _precision(made_by, device)))
    return Ready(dreamer, source, pixels, record(dreamer, source, made_by.get("net"), str(made_by["source"])))


def _precision(made_by: Mapping[str, Any], device: str) -> str:
    """That of the record, or the device's own where it has not that."""
    found = {gradients or "float32": name for name, gradients in PRECISIONS.items() if name != "auto"}
    precision = found.get(str(made_by.get("precision")), "auto")
    return "auto" if precision == "fp16" and device == "cpu" else precision


def recorded_units(made_by: Mapping[str, Any], picture: Path) -> tuple[list[Unit], Climb]:
    """What a visualisation was made of, and how.

    Raises:
        InputRefused: another version's, or an atlas.
    """
    try:
        climb = {**made_by["visualize"], "wobble": Wobble(**made_by["visualize"]["wobble"])}
        units = [Unit(unit["value"], unit["channel"], unit["at"] and tuple(unit["at"])) for unit in made_by["units"]]
        if not units:
            raise InputRefused(f"{picture}: is an atlas; `trtdream atlas` makes it again")
        return units, Climb(**climb)
    except (KeyError, TypeError) as error:
        raise InputRefused(f"{picture}: its record is none of this version's ({error})") from error


def recorded_settings(made_by: Mapping[str, Any], picture: Path) -> Settings:
    """How the picture was dreamt; its guide and mask are looked for as its source is.

    Raises:
        InputRefused: another version's settings, or a file that is not found or has changed.
    """
    try:
        settings = Settings.model_validate(made_by["settings"])
    except (KeyError, ValidationError) as error:
        raise InputRefused(f"{picture}: its settings are none of this version's ({_first(error)})") from error
    files = {key: find_file(made_by, key, picture) for key in ("guide", "mask") if getattr(settings, key)}
    return settings.model_copy(update=files)


def find_file(made_by: Mapping[str, Any], key: str, picture: Path) -> Path:
    """The source, guide or mask of a picture: by its path, else by its hash among the files beside the picture.

    Raises:
        InputRefused: it is not there, or is another one now.
    """
    named = made_by.get(key) or made_by.get("settings", {}).get(key) or ""
    wanted = made_by.get(f"{key}_sha256", "")
    named_path = Path(str(named))
    changed = [path for path in (named_path, picture.parent / named_path.name) if path.is_file()]
    for path in (*changed, *_beside(picture)):
        if sha256(path) == wanted:
            return path
    if changed:
        raise InputRefused(
            f"{changed[0]}: is not the {key} that {picture} was made with (sha256 {sha256(changed[0])[:12]}, "
            f"not {wanted[:12]})"
        )
    raise InputRefused(f"{picture}: its {key} {named} (sha256 {wanted[:12]}) is not there, nor beside the picture")


def check_weights(model: Model, made_by: Mapping[str, Any], picture: Path) -> None:
    """Raises InputRefused if the network at hand has other weights than the one that made the picture."""
    if model.weights.sha256 != made_by.get("weights_sha256"):
        raise InputRefused(
            f"{picture}: was made by {made_by.get('network')} with weights {made_by.get('weights')} (sha256 "
            f"{str(made_by.get('weights_sha256'))[:12]}), not {Path(model.weights.origin).name} "
            f"({model.weights.sha256[:12]}): name them with --net or --weights"
        )


def enlarged(picture: np.ndarray, longest: int) -> np.ndarray:
    """The picture, H x W x 3 uint8, with its longer side as given, by Lanczos' filter."""
    height, width = picture.shape[:2]
    by = longest / max(height, width)
    size = (max(1, round(width * by)), max(1, round(height * by)))
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def settings_for(model: Model, settings: Settings, then: Size, now: Size) -> Settings:
    """Settings that dream the same at another size: the octaves of then, and more of them up to a larger size.

    So a larger picture has the forms of the smaller one, with finer ones in them, instead of smaller forms.
    """
    if now[0] <= then[0]:
        return settings
    sizes = usable_octaves(model, then, settings)
    while True:
        height, width = (round(side * settings.octave_scale) for side in sizes[-1])
        if height * settings.octave_scale**0.5 >= now[0]:
            return settings.model_copy(update={"sizes": (*sizes, now)})
        sizes.append((height, width))


def _beside(picture: Path) -> Iterator[Path]:
    files = (path for path in sorted(picture.parent.iterdir()) if path.suffix.lower() in SUFFIXES)
    return (path for path in files if path.is_file() and path != picture)


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return f"{'.'.join(map(str, error.errors()[0]['loc']))}: {error.errors()[0]['msg']}"
    return "they are missing"
