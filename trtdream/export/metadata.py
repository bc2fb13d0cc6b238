"""What an exported ONNX file says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from trtdream import __version__
from trtdream.export.precision import Precision
from trtdream.files import replacing
from trtdream.runtime.model import Model

_LIMIT = 2**31 - 1  # protobuf's, for one message
_PREFIX = "trtdream."


def describe(model: onnx.ModelProto, source: Model, precision: Precision, preprocess: Mapping[str, Any] | None) -> None:
    """Write the network, its weights' hash, preprocessing and labels into an ONNX model's metadata."""
    model.producer_name, model.producer_version = "trtdream", __version__
    entries = {
        **source.provenance,
        "precision": str(precision),
        "labels": json.dumps(source.labels, ensure_ascii=False),
    }
    if preprocess is not None:
        entries["preprocess"] = json.dumps(preprocess)
    onnx.helper.set_model_props(model, {f"{_PREFIX}{key}": value for key, value in entries.items()})


def preprocess_document(source: Model, stem: str, folder: Path) -> dict[str, Any] | None:
    """The preprocessing as JSON; a mean image is written beside as `STEM.mean.npy`."""
    spec = source.preprocess
    if spec is None:
        return None
    if spec.mean.ndim == 1:
        return spec.to_dict()
    name = f"{stem}.mean.npy"
    with replacing(folder / name) as temporary, temporary.open("wb") as stream:
        np.save(stream, spec.mean)
    return spec.to_dict(name)


def save_onnx(model: onnx.ModelProto, path: Path, limit: int = _LIMIT) -> None:
    """Write a model whole or not at all; one beyond protobuf's 2 GB has its weights in `NAME.data` beside it."""
    if model.ByteSize() <= limit:
        with replacing(path) as temporary:
            temporary.write_bytes(model.SerializeToString())
        return
    data = f"{path.name}.data"
    with replacing(path) as temporary, replacing(path.with_name(data)) as weights:
        onnx.save_model(
            model, str(temporary), save_as_external_data=True, location=weights.name, all_tensors_to_one_file=True
        )
        pointing = onnx.load(str(temporary), load_external_data=False)
        for tensor in pointing.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = data
        temporary.write_bytes(pointing.SerializeToString())
