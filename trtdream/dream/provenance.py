"""What made a picture, for its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trtdream import __version__
from trtdream.dream.dreamer import Dreamer
from trtdream.dream.wishes import resolved
from trtdream.files import sha256, write_file


def record(dreamer: Dreamer, source: Path, net: str | None, named: str = "") -> dict[str, Any]:
    """The network and its weights, the layers, the settings, the picture dreamt into; as JSON can hold it.

    Args:
        net: what the network was asked for as; None for the default one.
        named: what the source is to be called; by default its path as it was given.
    """
    model, settings = dreamer.model, dreamer.settings
    files = {key: file for key in ("guide", "mask") if (file := getattr(settings, key))}
    return {
        **model.provenance,
        "weights": Path(model.weights.origin).name,
        "net": net,
        "layers": {value: layer.weight for layer, value in resolved(model, settings)},
        "settings": settings.model_dump(mode="json", exclude_defaults=True),
        "precision": dreamer.module.forms.gradients or "float32",
        "source": named or source.as_posix(),
        "source_sha256": sha256(source) if source.is_file() else "",
        **{f"{key}_sha256": sha256(file) for key, file in files.items()},
    }


def metadata(made_by: Mapping[str, Any]) -> dict[str, str]:
    """A record as text entries for `save_image`, with the program's version."""
    return {"Software": f"trtdream {__version__}", "trtdream": json.dumps(dict(made_by))}


def write_record(picture: Path, made_by: Mapping[str, Any]) -> None:
    """The record as `PICTURE.json`, for who would rather read a file than a picture's metadata."""
    document = {"trtdream": __version__, **made_by}
    write_file(picture.with_name(f"{picture.name}.json"), json.dumps(document, indent=2, ensure_ascii=False) + "\n")
