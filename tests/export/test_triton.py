"""Model repositories, read with Triton's own protobuf."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trtdream.errors import UsageError
from trtdream.export.triton import config, write_repository
from trtdream.runtime.manifest import Built, Manifest

MANIFEST = Manifest(
    file="net_fp16_b1-8-64.onnx",
    sha256="0" * 64,
    onnx="net_fp16_b1-8-64.onnx",
    onnx_sha256="0" * 64,
    network="net",
    weights="w",
    weights_sha256="1" * 64,
    precision="fp16",
    batch=(1, 8, 64),
    inputs={"images": "Nx224x224x3"},
    outputs=("prob",),
    output_shapes={"prob": "Nx1000"},
    preprocess=None,
    labels=("tench", "goldfish"),
    command="",
    trtdream="0",
)
ENGINE = Built("TensorRT", "10.9.0", "NVIDIA L4", "8.9", "linux_x86_64")


def parsed(manifest: Manifest):  # type: ignore[no-untyped-def]
    messages = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient is not installed")
    from google.protobuf import text_format

    return text_format.Parse(config("net", manifest), messages.ModelConfig())


def test_onnx_with_dynamic_batch() -> None:
    found = parsed(MANIFEST)
    assert (found.name, found.platform, found.max_batch_size) == ("net", "onnxruntime_onnx", 64)
    (given,), (output,) = found.input, found.output
    assert (given.name, list(given.dims), given.data_type) == ("images", [224, 224, 3], 2)  # TYPE_UINT8
    assert (output.name, list(output.dims), output.label_filename) == ("prob", [1000], "labels.txt")
    assert list(found.dynamic_batching.preferred_batch_size) == [8, 64]
    assert found.model_warmup[0].batch_size == 8


def test_engine_with_a_fixed_batch() -> None:
    fixed = {"inputs": {"data": "8x3x224x224"}, "output_shapes": {"prob": "8x1000"}, "batch": (8, 8, 8)}
    found = parsed(replace(MANIFEST, built=ENGINE, **fixed))
    assert (found.platform, found.max_batch_size) == ("tensorrt_plan", 0)
    assert list(found.input[0].dims) == [8, 3, 224, 224]
    assert not found.HasField("dynamic_batching")
    assert found.instance_group[0].count == 2


def test_repository(tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    (folder / MANIFEST.file).write_bytes(b"onnx")
    home = write_repository(tmp_path / "models", folder, MANIFEST, force=False)
    assert {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()} == {
        "config.pbtxt",
        "labels.txt",
        "1/model.onnx",
    }
    assert (home / "labels.txt").read_text() == "tench\ngoldfish\n"
    with pytest.raises(UsageError, match="--force"):
        write_repository(tmp_path / "models", folder, MANIFEST, force=False)
