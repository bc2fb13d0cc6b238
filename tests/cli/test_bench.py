from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.bench.slow import LIMITS
from tests.bench.test_serving import write
from tests.cli.command import refused, run
from trtdream.bench import headline as headline_module
from trtdream.bench import limits as limits_module
from trtdream.bench import tensorrt_profile
from trtdream.bench.feeding import draw_files
from trtdream.bench.timing import Repeats
from trtdream.data.synth import synthesise
from trtdream.runtime.cuda import Cuda

MINI = """
name: "mini"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 16 dim: 16 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


@pytest.fixture(autouse=True)
def known_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not measured anew for each test; tests/bench/test_limits.py measures them."""
    monkeypatch.setattr(limits_module, "limits_of", lambda *_: LIMITS)


@pytest.fixture
def mini(tmp_path: Path) -> Path:
    path = tmp_path / "mini.prototxt"
    path.write_text(MINI)
    return path


def valid(path: Path) -> Any:
    found = json.loads(path.read_text())
    schema = json.loads((files("trtdream.bench") / "results.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(found)
    return found


def test_net(mini: Path, tmp_path: Path) -> None:
    ran = run("bench", "net", mini, "--iterations", 3, "--json", tmp_path / "a.json")
    assert ran.code == 0, ran.err
    rows = [line.split()[0] for line in ran.out.splitlines()[2:6]]
    assert rows == ["conv", "relu", "ip", "prob"]
    assert "the layers add up to" in ran.out
    found = valid(tmp_path / "a.json")
    assert found["settings"]["batch"] == 2
    assert [(row["name"], row["part"]) for row in found["rows"]] == [
        *((name, part) for name in rows for part in ("forward", "backward")),
        ("(whole)", "forward"),
        ("(whole)", "backward"),
    ]


def test_batch_and_precision(mini: Path, tmp_path: Path) -> None:
    arguments = ("--iterations", 2, "--batch", 3, "--precision", "bfloat16", "--phase", "test", "--device", "cpu")
    ran = run("bench", "net", mini, *arguments, "--json", tmp_path / "a.json")
    assert ran.code == 0, ran.err
    settings = valid(tmp_path / "a.json")["settings"]
    asked = {"network": "mini", "phase": "TEST", "batch": 3, "precision": "bfloat16"}
    assert settings == {**asked, "backend": "torch", "device": "cpu"}


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_onnxruntime(mini: Path, tmp_path: Path, precision: str) -> None:
    """Its own profile by our names: the ReLU was fused into the convolution, and the row says so."""
    arguments = ("--backend", "onnxruntime", "--precision", precision, "--iterations", 3)
    ran = run("bench", "net", mini, *arguments, "--json", tmp_path / "a.json", "--report", tmp_path / "a.html")
    assert ran.code == 0, ran.err
    found = valid(tmp_path / "a.json")
    assert found["settings"]["backend"] == "onnxruntime"
    names = [row["name"] for row in found["rows"]]
    assert [name for name in names if name[0] != "(" and name != "data"] == ["conv + relu", "ip", "prob"]
    (fused,) = (row for row in found["rows"] if row["name"] == "conv + relu")
    assert fused["holds"] == ["conv", "relu"]
    assert "conv + relu" in ran.out
    assert "<img" in (tmp_path / "a.html").read_text()


def test_only_some_layers(mini: Path) -> None:
    ran = run("bench", "net", mini, "--iterations", 2, "--layer", "ip")
    assert ran.code == 0, ran.err
    assert [line.split()[0] for line in ran.out.splitlines()[2:4]] == ["ip", "forward"]


def test_a_report_of_a_net(mini: Path, tmp_path: Path) -> None:
    """Bars, the roofline, throughput over the batches 1 and 2; one page that asks for nothing else."""
    ran = run("bench", "net", mini, "--iterations", 2, "--report", tmp_path / "a.html")
    assert ran.code == 0, ran.err
    page = (tmp_path / "a.html").read_text()
    assert page.count("data:image/svg+xml") == 3
    assert "forward, batch 2" in page


def test_data(tmp_path: Path) -> None:
    draw_files(tmp_path, 4, size=32)
    arguments = ("--size", 32, "--crop", 24, "--batch", 4, "--threads", 1, "--runs", 2, "--device", "cpu")
    ran = run("bench", "data", tmp_path / "list.txt", *arguments, "--json", tmp_path / "a.json")
    assert ran.code == 0, ran.err
    rows = valid(tmp_path / "a.json")["rows"]
    assert [row["part"] for row in rows] == ["page cache", "from disk", "on the device"]
    assert "not measured" in ran.out


def test_train(tmp_path: Path) -> None:
    synthesise(tmp_path / "shapes", 10, 20, 10, 64)
    overrides = ("data.train.batch=2", f"data.train.source={tmp_path}/shapes/train.txt", "data.test=[]")
    quiet = ("solver.test_interval=0", "solver.display=1", f"run.folder={tmp_path}/run")
    ran = run("bench", "train", "quickstart", *overrides, *quiet, "--iterations", 5, "--json", tmp_path / "a.json")
    assert ran.code == 0, ran.err
    rows = valid(tmp_path / "a.json")["rows"]
    assert [row["part"] for row in rows] == ["wait for data", "forward", "backward", "update", "logging", "whole"]
    assert not (tmp_path / "run").exists()


def test_engine(tmp_path: Path) -> None:
    write(tmp_path / "a.onnx", ("N", 3, 4, 4))
    arguments = ("--threads", 2, "--seconds", 0.1, "--device", "cpu", "--batch", 2)
    ran = run("bench", "engine", tmp_path / "a.onnx", *arguments, "--json", tmp_path / "a.json")
    assert ran.code == 0, ran.err
    found = valid(tmp_path / "a.json")
    assert found["settings"]["batch"] == 2
    assert {row["part"] for row in found["rows"]} >= {"first answer", "with copies", "without copies"}


def test_compare(mini: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    for path in (first, second):
        assert run("bench", "net", mini, "--iterations", 3, "--json", path).code == 0
    changed = json.loads(second.read_text())
    for row in changed["rows"]:
        if (row["name"], row["part"]) == ("relu", "forward"):
            row["median_ms"] = 1e6
    second.write_text(json.dumps(changed))
    ran = run("bench", "compare", first, second)
    assert ran.code == 0, ran.err
    (line,) = (line for line in ran.out.splitlines() if line.split()[:2] == ["relu", "forward"])
    assert line.split()[-1] == "slower"


def test_results_of_another_version_are_refused(mini: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert run("bench", "net", mini, "--iterations", 2, "--json", path).code == 0
    found = json.loads(path.read_text())
    for content, word in (
        ({**found, "schema": 1}, "schema 1"),
        ({**found, "rows": []}, "no rows"),
        ({**found, "rows": [{"name": "a"}]}, "rows[0]"),
        ({}, "no result"),
        ([], "no result"),
    ):
        other = tmp_path / "b.json"
        other.write_text(json.dumps(content))
        refused(run("bench", "compare", path, other), 3, word)
    other.write_text("{")
    refused(run("bench", "compare", other, path), 3, "no JSON")
    refused(run("bench", "compare", path, tmp_path / "none.json"), 2, "no such file")


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("net", "googlnet"), 2, "googlenet"),
        (("net", "caffenet", "--precision", "int8"), 2, "bfloat16"),
        (("net", "caffenet", "--device", "tpu"), 2, "--device tpu"),
        (("net", "caffenet", "--phase", "both"), 2, "--phase both"),
        (("dream", "--size", "540"), 2, "--size 540"),
        (("net", "caffenet", "--backend", "caffe"), 2, "onnxruntime"),
        (("net", "caffenet", "--backend", "onnxruntime", "--phase", "train"), 2, "no backward"),
        (("net", "caffenet", "--backend", "onnxruntime", "--precision", "half"), 2, "float16"),
        (("net", "caffenet", "--backend", "onnxruntime", "--input", "data=1x3x99x99"), 2, "--input"),
        (("net", "caffenet", "--layer", "conv6"), 2, "conv5"),
        (("data", "nowhere"), 2, "nowhere"),
        (("train", "nothing.yaml"), 2, "nothing.yaml"),
        (("engine", "nothing.engine"), 2, "no such file"),
        (("net", "caffenet", "--report", "tests"), 2, "--force"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], code: int, word: str) -> None:
    refused(run("bench", *arguments), code, word)


def test_an_existing_file_is_refused_before_the_work(mini: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("mine")
    refused(run("bench", "net", mini, "--json", path), 2, "--force")
    assert path.read_text() == "mine"


def test_dream(tmp_path: Path, shared: Path) -> None:
    arguments = ("--size", "96x64", "--layer", "pool2/3x3_s2", "--octaves", 2, "--iterations", 2, "--runs", 3)
    weights = ("--net", "googlenet", "--weights", shared / "models/bvlc_googlenet.caffemodel")
    ran = run("bench", "dream", *weights, *arguments, "--json", tmp_path / "a.json")
    assert ran.code == 0, ran.err
    rows = valid(tmp_path / "a.json")["rows"]
    assert [(row["name"], row["part"]) for row in rows] == [
        ("69 x 46", "step"),
        ("96 x 64", "step"),
        ("96 x 64", "dream"),
    ]
    assert rows[2]["median_ms"] > rows[0]["median_ms"] + rows[1]["median_ms"]


@pytest.mark.full
def test_headline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture at a time, so that it is quick: every row is there, no ratio beside another batch."""
    monkeypatch.setattr(headline_module, "_REPEATS", Repeats(runs=1, warm_up=1, seconds=0))
    monkeypatch.setattr(headline_module, "_LONGEST_RUN_MS", 0.0)
    monkeypatch.setattr(headline_module, "DREAM_SIZE", (64, 96))
    monkeypatch.setattr(headline_module, "PICTURES", 8)
    ran = run("bench", "--device", "cpu", "--json", tmp_path / "a.json")
    assert ran.code == 0, ran.err
    rows = valid(tmp_path / "a.json")["rows"]
    measured = [(row["name"], row["part"]) for row in rows if "absent" not in row]
    parts = ("forward", "backward", "forward + backward")
    assert measured == [
        *((name, part) for name in ("caffenet", "googlenet") for part in parts),
        ("data", "from JPEGs"),
        ("data", "from a packed set"),
        ("caffenet", "step"),
        ("googlenet", "inference, torch, fp32"),
        ("googlenet", "inference, ONNX Runtime, fp32"),
        ("googlenet", "inference, ONNX Runtime, int8"),
        ("dream", "step"),
    ]
    absent = {row["part"]: row["absent"] for row in rows if "absent" in row}
    assert "inference, TensorRT, fp16" in absent
    assert all(absent.values())
    assert "not comparable" in ran.out
    assert "K40" in ran.out


def test_no_gpu_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_profile, "ask_cuda", lambda: Cuda(None, None, (), "no NVIDIA driver"))
    refused(run("bench", "net", "caffenet", "--backend", "tensorrt"), 1, "NVIDIA GPU")
