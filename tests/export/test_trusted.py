"""Plans from elsewhere: refused, unless a person trusts them; then known by their hash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.cli.command import refused, run
from trtdream.errors import InputRefused, VerificationFailed
from trtdream.export.agreement import Agreement, check_agreement
from trtdream.export.trusted import trusted_manifest
from trtdream.runtime.engine_trust import check_engine
from trtdream.runtime.manifest import Built, check_file, read_manifest, write_manifest
from trtdream.runtime.open_model import bundled
from trtdream.runtime.runner_tensorrt import EngineTensor
from trtdream.runtime.tensorrt import this_platform

MODEL = bundled()
CAT = Path(__file__).parents[2] / "scripts/pictures/chelsea.png"
BUILT = Built("TensorRT", "8.6.1", "NVIDIA H100", "9.0", this_platform(), trusted=True)
SHAPES = [(1, 3, 224, 224), (8, 3, 224, 224), (64, 3, 224, 224)]
TENSORS = [
    EngineTensor("input", True, torch.float32, (-1, 3, 224, 224), *SHAPES),
    EngineTensor("prob", False, torch.float32, (-1, 10), (-1, 10), (-1, 10), (-1, 10)),
]


def test_what_a_trusted_plan_is_known_by(tmp_path: Path) -> None:
    plan = tmp_path / "theirs.engine"
    plan.write_bytes(b"plan" * 100)
    manifest = trusted_manifest(plan, TENSORS, MODEL, BUILT)
    assert (manifest.batch, manifest.inputs, manifest.outputs) == ((1, 8, 64), {"input": "Nx3x224x224"}, ("prob",))
    assert manifest.built and manifest.built.trusted and not manifest.passed
    write_manifest(tmp_path, manifest)
    assert read_manifest(plan) == manifest
    check_file(plan, manifest)
    plan.write_bytes(b"plan" * 99 + b"plam")
    with pytest.raises(InputRefused, match="SHA-256 differs"):
        check_engine(plan, ())


def test_a_plan_without_inputs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs.engine").write_bytes(b"plan")
    for tensors in (TENSORS[1:], [replace(TENSORS[0], shape=(), least=(), usual=(), greatest=())]):
        with pytest.raises(InputRefused, match=r"theirs\.engine: has no input"):
            trusted_manifest(tmp_path / "theirs.engine", tensors, MODEL, BUILT)


def test_it_must_agree_as_the_lowest_precision_must() -> None:
    check_agreement(Agreement("TensorRT", "8 crops", 0.95, 0.01, 0.98, 0.1), "own")
    with pytest.raises(VerificationFailed, match="own must reach"):
        check_agreement(Agreement("TensorRT", "8 crops", 0.5, 0.5, 0.98, 0.1), "own")


def test_on_the_command_line(tmp_path: Path) -> None:
    plan = tmp_path / "theirs.engine"
    plan.write_bytes(b"plan")
    weights = ("--net", "googlenet", "--weights", MODEL_FILE)
    for command in (["classify", CAT, "--engine", plan], ["verify", plan]):
        refused(run(*command, *weights), 3, "has no manifest", "--trust")
        if not torch.cuda.is_available():
            refused(run(*command, *weights, "--trust"), 1, "needs a GPU")
            assert not list(tmp_path.glob("*.json"))
    refused(run("classify", CAT, *weights, "--trust"), 2, "--engine FILE")
    refused(run("classify", CAT, *weights, "--engine", "a", "--precision", "fp16"), 2, "one or the other")


MODEL_FILE = Path(__file__).parents[2] / "trtdream/weights/bundled/googlenet_imagenette.safetensors"


def test_classifying_with_a_chosen_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the folder, by a part of its name; by a path; and of other weights it is refused."""
    monkeypatch.chdir(tmp_path)
    weights = ("--weights", MODEL_FILE)
    assert run("export", "googlenet", *weights, "--fp16", "--onnx-only").code == 0
    wanted = run("classify", CAT, *weights, "--json").document["images"][0]["top"][0]
    for name in ("fp16", "engines/googlenet_fp16_b1-8-64.onnx"):
        found = run("classify", CAT, *weights, "--engine", name, "--json")
        assert found.document["images"][0]["top"][0]["index"] == wanted["index"], found.err
    picture = run("classify", CAT, *weights, "--sheet", "seen.png")
    assert picture.code == 0 and (tmp_path / "seen.png").stat().st_size > 10_000
