"""What made a picture, for its metadata."""

from __future__ import annotations

import json
from pathlib import Path

from trtdream import __version__
from trtdream.dream.wishes import resolved
from trtdream.files import sha256
from trtdream.recipe.dream_schema import Settings
from trtdream.runtime.model import Model


def provenance(model: Model, source: Path, settings: Settings) -> dict[str, str]:
    """Text entries: the program, the network and its weights, the layer, the parameters, the picture dreamt into."""
    made = {
        **model.provenance,
        "weights": Path(model.weights.origin).name,
        "layers": {value: layer.weight for layer, value in resolved(model, settings)},
        "settings": settings.model_dump(mode="json", exclude_defaults=True),
        "source": source.name,
        "source_sha256": sha256(source),
    }
    return {"Software": f"trtdream {__version__}", "trtdream": json.dumps(made)}
