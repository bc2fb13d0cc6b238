"""`trtdream export`, `engines` and `verify` as a user types them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.cli.command import Ran, run
from tests.export.models import random_model
from tests.export.test_networks import CONVOLUTIONAL, GLOBAL, PROB, TOWER
from trtdream.caffe.prototxt import text_from_net
from trtdream.weights.weights import save_weights

MODEL = random_model(TOWER + PROB)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a small network and its weights."""
    (tmp_path / "net.prototxt").write_text(text_from_net(MODEL.net))
    save_weights(tmp_path / "net.safetensors", MODEL.weights)
    return tmp_path


def trtdream(here: Path, *arguments: str) -> Ran:
    with contextlib.chdir(here):
        return run(*arguments)


def export(here: Path, *arguments: str) -> Ran:
    return trtdream(here, "export", "net.prototxt", "--weights", "net.safetensors", *arguments)


def test_export_list_inspect_verify_remove(here: Path) -> None:
    made = export(here, "--fp16", "--json")
    assert made.code == 0, made.err
    (manifest,) = json.loads(made.out)
    assert manifest["file"] == "net_fp16_b1-8-64.onnx" and manifest["passed"]
    (figures,) = manifest["verification"]
    assert figures["cosine"] > 0.9999 and figures["top1_agreement"] == 1.0
    assert manifest["layer_types"]["HALF"] > 10
    if not torch.cuda.is_available():
        assert "no engine is built, ONNX Runtime runs the ONNX file" in made.err

    assert "net_fp16_b1-8-64.onnx" in trtdream(here, "engines", "ls").out
    inspected = json.loads(trtdream(here, "engines", "inspect", "fp16", "--json").out)
    assert {**inspected, "folder": "engines"} == {**manifest, "fault": ""}
    own = ("--net", "net.prototxt", "--weights", "net.safetensors")
    verified = trtdream(here, "verify", "net_fp16", *own)
    assert verified.code == 0 and "top-1 100.0%" in verified.out, verified.err
    layers = json.loads(trtdream(here, "engines", "verify", "net_fp16", *own, "--per-layer", "--json").out)
    assert [blob["blob"] for blob in layers][:3] == ["c1@c1", "c1", "n1"]
    assert all(blob["cosine"] > 0.999 for blob in layers)

    assert trtdream(here, "engines", "rm", "net_fp16").code == 0
    assert list((here / "engines").iterdir()) == []


def test_a_changed_file_is_refused(here: Path) -> None:
    export(here)
    path = here / "engines/net_fp32_b1-8-64.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for command in (
        ["engines", "inspect", "fp32"],
        ["verify", "fp32", "--net", "net.prototxt", "--weights", "net.safetensors"],
    ):
        refused = trtdream(here, *command)
        assert refused.code == 3 and "SHA-256 differs" in refused.err
        assert len(refused.err.strip().splitlines()) == 1


def test_disagreement_is_exit_4(here: Path) -> None:
    """An ONNX file of other weights, whose manifest was made to fit it."""
    export(here)
    other = random_model(TOWER + PROB, seed=5)
    save_weights(here / "other.safetensors", other.weights)
    trtdream(here, "export", "net.prototxt", "--weights", "other.safetensors", "--name", "other")
    folder = here / "engines"
    manifest = json.loads((folder / "other_fp32_b1-8-64.onnx.json").read_text())
    first = json.loads((folder / "net_fp32_b1-8-64.onnx.json").read_text())
    manifest["weights_sha256"] = first["weights_sha256"]
    (folder / "other_fp32_b1-8-64.onnx.json").write_text(json.dumps(manifest))
    own = ("--net", "net.prototxt", "--weights", "net.safetensors")
    failed = trtdream(here, "verify", "other", *own)
    assert failed.code == 4, failed.err
    drifting = trtdream(here, "verify", "other", *own, "--per-layer")
    assert drifting.code == 4 and "c1@c1 is the first to drift" in drifting.err
    assert "FAILED" in trtdream(here, "engines", "ls").out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--fp16", "--int8"], 2, "one precision at a time"),
        (["--int8"], 2, "--calibration"),
        (["--batch", "8:1:4"], 2, "must be positive and rise"),
        (["--batch", "many"], 2, "--batch many"),
        (["--until", "nothing"], 2, "no layer or blob"),
        (["--target", "sm_90"], 2, "sm_90"),
        (["--target", "ada"], 2, "sm_89 and the like"),
        (["--lrn", "none"], 2, "--lrn none"),
        (["--dynamic-size"], 3, "unless the map's size is fixed"),
        (["--sensitivity"], 2, "--sensitivity goes with"),
        (["--fp16", "--keep", "c1"], 2, "--keep goes with --int8"),
        (["--calibration", "."], 2, "--calibration goes with --int8"),
        (["--images", "missing.jpg"], 2, "missing.jpg"),
    ],
)
def test_wrong_usage(here: Path, arguments: list[str], code: int, told: str) -> None:
    refused = export(here, *arguments)
    assert refused.code == code, refused.err
    assert told in refused.err
    assert not (here / "engines").exists()


def test_an_existing_file_is_not_overwritten(here: Path) -> None:
    export(here)
    again = export(here)
    assert again.code == 2 and "--force" in again.err
    assert export(here, "--force").code == 0


def test_engine_ahead_of_time(here: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed")
    made = export(here, "--fp16", "--target", "sm_89", "--json")
    assert made.code == 0, made.err
    _, engine = json.loads(made.out)
    assert engine["file"].startswith("net_fp16_b1-8-64_sm89_rtx") and engine["built"]["capability"] == "8.9"
    assert engine["layer_types"]["HALF"] > 10 and not engine["passed"]
    assert (here / "engines" / engine["file"]).stat().st_size > 10_000


def test_open_sizes_are_for_onnx_alone(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed")
    model = random_model(CONVOLUTIONAL + GLOBAL)
    (tmp_path / "net.prototxt").write_text(text_from_net(model.net))
    save_weights(tmp_path / "net.safetensors", model.weights)
    made = export(tmp_path, "--until", "g", "--dynamic-size", "--target", "sm_89", "--json")
    assert made.code == 0 and "none is built with --dynamic-size" in made.err, made.err
    assert [one["inputs"] for one in json.loads(made.out)] == [{"data": "Nx3xHxW"}]


def test_rtx_has_no_compatible_engines(here: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed")
    refused = export(here, "--target", "sm_89", "--version-compatible")
    assert refused.code == 2 and "no compatible engines" in refused.err
    assert trtdream(here, "export", "none.onnx").err.endswith("none.onnx: no such file\n")


def test_foreign_onnx(here: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed")
    export(here, "--onnx-only")
    foreign = "engines/net_fp32_b1-8-64.onnx"
    made = trtdream(here, "export", foreign, "--target", "sm_86", "-o", "compiled", "--json")
    assert made.code == 0, made.err
    (manifest,) = json.loads(made.out)
    assert manifest["precision"] == "own" and manifest["inputs"] == {"data": "Nx3x29x31"}
    refused = trtdream(here, "export", foreign, "--fp16", "--target", "sm_86")
    assert refused.code == 2 and "in the types it has" in refused.err
    cut = here / "cut.onnx"
    cut.write_bytes((here / foreign).read_bytes()[:-100])
    assert trtdream(here, "export", "cut.onnx", "--target", "sm_86").code == 3


def test_bad_calibration_pictures_are_named_together(shared: Path, tmp_path: Path) -> None:
    """A list with a missing file, and a folder with files that are no pictures."""
    weights = str(shared / "models/bvlc_googlenet.caffemodel")
    (tmp_path / "list.txt").write_text("none.jpg 1\nnowhere.jpg 2\n")
    arguments = ["export", "googlenet", "--weights", weights, "--int8", "--calibration"]
    refused = trtdream(tmp_path, *arguments, "list.txt")
    assert refused.code == 3
    assert "line 1: no file 'none.jpg'" in refused.err and "line 2: no file 'nowhere.jpg'" in refused.err
    (tmp_path / "pictures").mkdir()
    for name in ("a.jpg", "b.png"):
        (tmp_path / "pictures" / name).write_bytes(b"no picture")
    refused = trtdream(tmp_path, *arguments, "pictures")
    assert refused.code == 3
    assert "2 of 2 pictures are unfit" in refused.err and "a.jpg" in refused.err and "b.png" in refused.err
    assert not (tmp_path / "engines").exists()


def test_a_full_disk_leaves_nothing_behind(here: Path) -> None:
    """A file-size limit stands in for it: the system refuses to write on."""
    (here / "limited.py").write_text(
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "from trtdream.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "limited.py", "export", "net.prototxt", "--weights", "net.safetensors"]
    own = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    failed = subprocess.run(command, cwd=here, env=own, capture_output=True, text=True, timeout=300, check=False)
    assert failed.returncode == 1 and "cannot be written" in failed.stderr, failed.stderr
    assert list((here / "engines").iterdir()) == []


def test_calibration_and_verification_pictures_are_disjoint(shared: Path, tmp_path: Path) -> None:
    weights = str(shared / "models/bvlc_googlenet.caffemodel")
    folder = str(shared / "images/jetson_mit")
    one = str(shared / "images/jetson_mit/coral.jpg")
    arguments = ["export", "googlenet", "--weights", weights, "--int8", "--calibration", folder, "--images", one]
    refused = trtdream(tmp_path, *arguments)
    assert refused.code == 2 and "1 pictures are in --calibration and in --images (coral.jpg" in refused.err
