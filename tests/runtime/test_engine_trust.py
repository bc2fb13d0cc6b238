"""Nothing is loaded that is not what its manifest says, or not for this machine."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from trtdream.errors import InputRefused, UsageError
from trtdream.files import sha256
from trtdream.runtime.cuda import Gpu
from trtdream.runtime.engine_trust import check_engine
from trtdream.runtime.manifest import Built, Manifest, manifest_path, read_manifest, write_manifest
from trtdream.runtime.onnx_file import read_onnx
from trtdream.runtime.tensorrt import Library, installed, library_for, this_platform

ADA = Gpu("NVIDIA L4", 24 << 30, "8.9")
HOPPER = Gpu("NVIDIA H100", 80 << 30, "9.0")


@pytest.fixture(scope="module")
def version() -> str:
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed")
    return Library("TensorRT-RTX").version


def engine(folder: Path, version: str, /, **changes: object) -> Path:
    """A file that claims to be an engine for an Ada GPU, and its manifest."""
    path = folder / "net_fp16_b8_sm89.engine"
    path.write_bytes(b"plan" * 1000)
    built = Built("TensorRT-RTX", version, None, "8.9", this_platform())
    manifest = Manifest(
        file=path.name,
        sha256=sha256(path),
        onnx="net_fp16_b8.onnx",
        onnx_sha256="0" * 64,
        network="net",
        weights="net.caffemodel",
        weights_sha256="1" * 64,
        precision="fp16",
        batch=(8, 8, 8),
        inputs={"data": "8x3x224x224"},
        outputs=("prob",),
        output_shapes={"prob": "8x10"},
        preprocess=None,
        labels=("a", "b"),
        command="trtdream export net --fp16 --force",
        trtdream="0",
        built=replace(built, **{k: v for k, v in changes.items() if k in asdict(built)}),
    )
    write_manifest(folder, manifest)
    return path


def test_a_fitting_engine_passes(tmp_path: Path, version: str) -> None:
    manifest = check_engine(engine(tmp_path, version), (ADA,))
    assert manifest.precision == "fp16" and manifest.batch == (8, 8, 8)


@pytest.mark.parametrize("at", [0, 1999, 3999])
def test_a_flipped_byte(tmp_path: Path, version: str, at: int) -> None:
    path = engine(tmp_path, version)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputRefused, match=r"SHA-256 differs.*trtdream export net --fp16 --force"):
        check_engine(path, (ADA,))


@pytest.mark.parametrize(
    ("changes", "gpus", "told"),
    [
        ({"version": "1.0.0"}, (ADA,), "built with TensorRT-RTX 1.0.0, here is"),
        ({"platform": "windows_amd64"}, (ADA,), "built for windows_amd64, this is"),
        ({}, (HOPPER,), "compute capability 8.9, NVIDIA H100 has 9.0"),
        ({"gpu": "NVIDIA GeForce RTX 4090"}, (ADA,), "built on NVIDIA GeForce RTX 4090, this is NVIDIA L4"),
        ({}, (), "there is none here"),
    ],
)
def test_another_machine(
    tmp_path: Path, version: str, changes: dict[str, str], gpus: tuple[Gpu, ...], told: str
) -> None:
    with pytest.raises(InputRefused, match=told) as caught:
        check_engine(engine(tmp_path, version, **changes), gpus)
    assert "trtdream export net --fp16 --force" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_compatible_engines_fit_more_machines(tmp_path: Path, version: str) -> None:
    """Hardware-compatible ones run on every GPU from Ampere on; a TensorRT-RTX engine has but one version."""
    check_engine(engine(tmp_path, version, hardware_compatible=True), (HOPPER,))
    with pytest.raises(InputRefused, match=r"8\.0 and later"):
        check_engine(engine(tmp_path, version, hardware_compatible=True), (replace(HOPPER, capability="7.5"),))
    with pytest.raises(InputRefused, match=r"built with TensorRT-RTX 1\.0\.0"):
        check_engine(engine(tmp_path, version, version="1.0.0", version_compatible=True), (ADA,))


@pytest.mark.parametrize(
    ("built", "here", "compatible", "runs"),
    [
        ("8.6.1", "8.6.1", False, True),
        ("8.6.1", "8.6.3", False, False),
        ("8.6.1", "10.9.0.34", True, True),
        ("10.3.0", "10.9.0.34", True, True),
        ("10.9.0", "10.3.0.26", True, False),
        ("10.9.0", "11.4.1", True, True),
        ("8.6.1", "11.4.1", True, False),
    ],
)
def test_versions_that_run_a_plan(built: str, here: str, compatible: bool, runs: bool) -> None:
    """NVIDIA's support matrix: newer versions, and one step between majors, for version-compatible plans alone."""
    library = Library("TensorRT")
    library.__dict__["module"] = SimpleNamespace(__version__=here)  # no TensorRT of these versions is at hand
    assert library.runs_plan_of(built, compatible) == runs


def test_a_library_that_is_missing(tmp_path: Path, version: str) -> None:
    if any(one.name == "TensorRT" for one in installed()):
        pytest.skip("TensorRT is installed here")
    with pytest.raises(InputRefused, match="built with TensorRT, which is not installed here"):
        check_engine(engine(tmp_path, version, library="TensorRT"), (ADA,))


def test_no_manifest(tmp_path: Path, version: str) -> None:
    path = engine(tmp_path, version)
    manifest_path(path).unlink()
    with pytest.raises(InputRefused, match="has no manifest"):
        check_engine(path, (ADA,))
    with pytest.raises(UsageError, match="no such file"):
        check_engine(tmp_path / "other.engine", (ADA,))


def test_damaged_manifests(tmp_path: Path, version: str) -> None:
    path = engine(tmp_path, version)
    document = json.loads(manifest_path(path).read_text())
    for damaged in ("{", "[]", json.dumps({**document, "format": 99}), json.dumps({**document, "built": {"a": 1}})):
        manifest_path(path).write_text(damaged)
        with pytest.raises(InputRefused, match=r"engine\.json"):
            check_engine(path, (ADA,))
    manifest_path(path).write_text(json.dumps({**document, "file": "../other.engine"}))
    with pytest.raises(InputRefused, match="is the manifest of"):
        check_engine(path, (ADA,))


def test_a_manifest_comes_back_as_it_was(tmp_path: Path, version: str) -> None:
    path = engine(tmp_path, version)
    manifest = read_manifest(path)
    write_manifest(tmp_path, manifest)
    assert read_manifest(manifest_path(path)) == manifest


def test_running_without_a_gpu_is_one_line(tmp_path: Path, version: str) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    from trtdream.runtime.runner_tensorrt import TensorRTRunner

    with pytest.raises(InputRefused, match="there is none here"):
        TensorRTRunner(engine(tmp_path, version))


@pytest.mark.usefixtures("version")
def test_what_builds_for_which_machine() -> None:
    assert library_for((), None) is None
    assert library_for((), "8.9") == Library("TensorRT-RTX")
    with pytest.raises(UsageError, match="builds for sm_80, sm_86, sm_89"):
        library_for((), "9.0")
    if installed() == [Library("TensorRT-RTX")]:
        assert library_for((ADA,), None) == Library("TensorRT-RTX")
        assert library_for((HOPPER,), None) is None


def external(folder: Path, location: str, offset: int = 0, length: int = 48) -> Path:
    """y = x + w, w lying in another file."""
    weight = numpy_helper.from_array(np.zeros((3, 4), np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        weight.external_data.add(key=key, value=value)
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", info[:1], info[1:], [weight])
    path = folder / "net.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=8).SerializeToString())
    return path


def test_external_data_within_the_folder(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(48))
    assert read_onnx(external(tmp_path, "w.bin")).graph.name == "g"


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../secret.bin", "a/../../secret.bin", "", "link.bin", "missing.bin"]
)
def test_external_data_elsewhere(tmp_path: Path, location: str) -> None:
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(InputRefused, match=r"net\.onnx: tensor 'w'"):
        read_onnx(external(inside, location))


@pytest.mark.parametrize(("offset", "length"), [(8, 48), (0, 4000), (0, 8)])
def test_external_data_beyond_its_file(tmp_path: Path, offset: int, length: int) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(48))
    with pytest.raises(InputRefused, match=r"net\.onnx: tensor 'w'"):
        read_onnx(external(tmp_path, "w.bin", offset, length))


def test_no_onnx(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    for content in (b"\x89PNG\r\n", onnx.ModelProto().SerializeToString() or b"\x08\x08", bytes(100)):
        path.write_bytes(content)
        with pytest.raises(InputRefused, match=r"net\.onnx"):
            read_onnx(path)


def test_tensor_that_holds_less_than_it_says(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.zeros((3, 4), np.float32), "w")
    weight.raw_data = weight.raw_data[:-4]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", info[:1], info[1:], [weight])
    path = tmp_path / "net.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=8).SerializeToString())
    with pytest.raises(InputRefused, match="44 bytes, not 48"):
        read_onnx(path)
