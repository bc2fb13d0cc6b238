"""Model repositories, read with Triton's own protobuf."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.metadata import distribution
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from google.protobuf import text_format

from trtdream.errors import UsageError
from trtdream.export.triton import config, write_repository
from trtdream.export.triton_jpeg import JPEG, dali_pipeline, decode_config, ensemble_config, write_ensemble
from trtdream.runtime.image import load_image
from trtdream.runtime.manifest import Built, Manifest
from trtdream.runtime.preprocess import Preprocess, preprocess

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


@cache
def messages() -> ModuleType:
    """Triton's own messages, from their file: `tritonclient.grpc` itself wants gRPC and an older protobuf."""
    pytest.importorskip("tritonclient", reason="tritonclient is not installed")
    path = distribution("tritonclient").locate_file("tritonclient/grpc/model_config_pb2.py")
    spec = spec_from_file_location("model_config_pb2", str(path))
    assert spec is not None and spec.loader is not None
    found = module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def parsed_text(text: str):  # type: ignore[no-untyped-def]
    return text_format.Parse(text, messages().ModelConfig())


def parsed(manifest: Manifest):  # type: ignore[no-untyped-def]
    return parsed_text(config("net", manifest))


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


def test_ensemble_that_takes_jpeg_files() -> None:
    decode = parsed_text(decode_config("net_decode", "images", "Nx224x224x3", 64))
    assert (decode.backend, decode.max_batch_size) == ("dali", 64)
    assert (decode.output[0].data_type, list(decode.output[0].dims)) == (2, [224, 224, 3])
    whole = parsed_text(ensemble_config("net", "images", MANIFEST))
    assert (whole.name, whole.platform, whole.max_batch_size) == ("net_jpeg", "ensemble", 64)
    assert (whole.input[0].name, list(whole.input[0].dims)) == (JPEG, [-1])
    first, second = whole.ensemble_scheduling.step
    assert (first.model_name, dict(first.input_map)) == ("net_decode", {JPEG: JPEG})
    assert first.output_map[decode.output[0].name] == second.input_map["images"] == "pixels"
    assert (second.model_name, dict(second.output_map)) == ("net", {"prob": "prob"})


PHOTOGRAPHS = sorted((Path(__file__).parents[2] / "trtdream/export/photographs").glob("*.jpg"))
MEANS = np.random.default_rng(0).uniform(90, 130, (3, 256, 256)).astype(np.float32)
SPECS = {
    "values": Preprocess((224, 224), (256, 256), np.array([104, 117, 123], np.float32)),
    "image": Preprocess((227, 227), (256, 256), MEANS, 0.5),  # 227 of 256: the half is not whole
    "input's image": Preprocess((227, 227), (256, 256), MEANS[:, :227, :227]),
    "RGB": Preprocess((64, 96), (96, 128), np.array([104, 117, 123], np.float32), 1 / 255, "RGB"),
    "whole": Preprocess((224, 224), None, np.zeros(3, np.float32)),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("as_bytes", [False, True])
def test_the_pipeline_prepares_pictures_as_we_do(name: str, as_bytes: bool) -> None:
    """Its CPU form, serialised and read back, within a grey level of ours at most and a fifth of one in the mean."""
    dali = pytest.importorskip("nvidia.dali", reason="DALI is not installed")
    spec = SPECS[name]
    serialised = dali_pipeline(spec, 4, as_bytes, device="cpu").serialize()
    pipeline = dali.Pipeline.deserialize(serialised)
    pipeline.build()
    pipeline.feed_input(JPEG, [np.frombuffer(path.read_bytes(), np.uint8) for path in PHOTOGRAPHS])
    found = pipeline.run()[0].as_array()
    if as_bytes:
        spec = replace(spec, mean=np.zeros(3, np.float32), scale=1.0, channels="RGB")
        found = found.transpose(0, 3, 1, 2)
    wanted = np.stack([preprocess(load_image(path), spec) for path in PHOTOGRAPHS])
    assert found.shape == wanted.shape
    levels = np.abs(found.astype(np.float64) - wanted) / spec.scale
    assert levels.max() <= 1.001 and levels.mean() < 0.2


def test_a_repository_with_an_ensemble(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What decodes on the server's GPU is serialised here without one."""
    pytest.importorskip("nvidia.dali", reason="DALI is not installed")
    decode, jpeg = write_ensemble(tmp_path, "net", MANIFEST, SPECS["values"])
    assert b"mixed" in (decode / "1/model.dali").read_bytes()
    assert (jpeg / "1").is_dir() and (jpeg / "labels.txt").is_file()
    assert parsed_text((decode / "config.pbtxt").read_text()).name == "net_decode"
    assert write_ensemble(tmp_path, "net", replace(MANIFEST, batch=(8, 8, 8)), SPECS["values"]) == []
    assert write_ensemble(tmp_path, "net", MANIFEST, None) == []
    assert "its batch is fixed" in capsys.readouterr().err
