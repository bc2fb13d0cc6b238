import json
import os
import subprocess
import sys

import numpy as np
import pytest

from trtdream.runtime import probe
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.doctor import WANTED, cuda_clashes

BLOCKER = """
import os, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        for blocked in os.environ.get("BLOCKED", "").split():
            if name == blocked or name.startswith(blocked + "."):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture
def doctor(tmp_path):
    """Run the real command in a fresh process; `blocked` modules cannot be imported, `fakes` come first."""

    def _run(*options, blocked="", fakes=None, **environment):
        (tmp_path / "sitecustomize.py").write_text(BLOCKER)
        for name, code in (fakes or {}).items():
            (tmp_path / name).with_suffix(".py").write_text(code)
        environment = {
            **os.environ,
            "PYTHONPATH": str(tmp_path),
            "BLOCKED": blocked,
            "TRTDREAM_HOME": str(tmp_path / "home"),
            "TRTDREAM_WEIGHTS": "",
            **environment,
        }
        command = [sys.executable, "-m", "trtdream", "doctor", *options]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    return _run


def by_name(report, what):
    return {entry["name"]: entry for entry in report[what]}


ALL_OPTIONAL = " ".join(wanted.module for wanted in WANTED)
ALL_BUT_SMALL = " ".join(w.module for w in WANTED if w.module not in ("numpy", "PIL", "onnxruntime", "lmdb"))


def test_this_machine():
    """What is installed is found with its version, and really computes."""
    done = subprocess.run(
        [sys.executable, "-m", "trtdream", "doctor", "--json"], capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert done.returncode == (1 if report["broken"] else 0)
    packages = by_name(report, "packages")
    assert packages["numpy"] == {**packages["numpy"], "status": "ok", "version": np.__version__}
    runs = {(run["backend"], run["provider"]): run["status"] for run in report["runs"]}
    assert runs["torch", "cpu"] == "ok"
    assert runs["onnxruntime", "CPUExecutionProvider"] == "ok"
    if not report["cuda"]["gpus"]:
        assert runs["torch", "cuda"] == "unusable"
        assert all(status != "ok" for (_, provider), status in runs.items() if provider.startswith("CUDA"))
        assert report["broken"] == []


def test_with_every_package_missing(doctor):
    done = doctor("--json", blocked=ALL_OPTIONAL)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {package["status"] for package in report["packages"]} == {"missing"}
    assert all(package["command"].startswith("pip install ") for package in report["packages"])
    assert report["runs"] == []
    assert report["broken"] == []
    table = doctor(blocked=ALL_OPTIONAL)
    assert table.returncode == 0, table.stderr
    assert "pip install torch" in table.stdout
    assert "weights: not looked for" in table.stdout


def test_each_missing_package_is_named_with_its_command(doctor):
    table = doctor(blocked=ALL_BUT_SMALL, COLUMNS="200")
    assert table.returncode == 0, table.stderr
    rows = {line.split()[0]: line for line in table.stdout.splitlines() if "pip install" in line}
    missing = [wanted for wanted in WANTED if wanted.module in ALL_BUT_SMALL.split()]
    assert {wanted.name for wanted in missing} <= set(rows)
    for wanted in missing:
        assert wanted.purpose in rows[wanted.name]
        assert wanted.command.split("{")[0] in rows[wanted.name]


def test_onnxruntime_runs_without_onnx(doctor):
    report = json.loads(doctor("--json", blocked=ALL_BUT_SMALL).stdout)
    assert by_name(report, "packages")["onnx"]["status"] == "missing"
    runs = {run["provider"]: run["status"] for run in report["runs"]}
    assert runs["CPUExecutionProvider"] == "ok"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise OSError('liblmdb.so: cannot open shared object file')", "OSError: liblmdb.so"),
        ("import something_else_it_needs", "something_else_it_needs"),
        ("import os; os.abort()", "SIGABRT"),
        ("raise SystemExit(3)", "ended with code 3"),
    ],
)
def test_a_broken_package_is_said_and_fails(doctor, code, reason):
    blocked = ALL_BUT_SMALL + " onnxruntime PIL"
    done = doctor("--json", blocked=blocked, fakes={"lmdb": code})
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert by_name(report, "packages")["lmdb"]["status"] == "broken"
    assert len(report["broken"]) == 1
    assert "lmdb" in report["broken"][0]
    assert reason in report["broken"][0]
    assert done.stderr.splitlines()[-1].startswith("error: present but broken: lmdb")


def test_a_backend_that_computes_wrongly_or_crashes_is_broken(doctor):
    # a stand-in for a torch whose sums are wrong on the CPU and which dies on CUDA
    code = """
import os, types
__version__ = "9.9"
version = types.SimpleNamespace(cuda="12.4")
class cuda:
    is_available = staticmethod(lambda: os.abort())
def tensor(numbers, device):
    class Tensor(list):
        def __add__(self, other): return self
        def tolist(self): return list(self)
    return Tensor(numbers)
"""
    blocked = ALL_BUT_SMALL.replace("torch ", "") + " onnxruntime PIL lmdb"
    done = doctor("--json", blocked=blocked, fakes={"torch": code})
    assert done.returncode == 1
    runs = {run["provider"]: run for run in json.loads(done.stdout)["runs"]}
    assert (runs["cpu"]["status"], runs["cuda"]["status"]) == ("broken", "broken")
    assert "wrong numbers" in runs["cpu"]["detail"]
    assert "SIGABRT" in runs["cuda"]["detail"]


def test_output_of_a_package_does_not_spoil_the_document(doctor):
    blocked = ALL_BUT_SMALL + " onnxruntime PIL"
    chatty = "import os\nprint('hello'); os.write(1, b'from C')\n__version__ = '1.0'"
    report = json.loads(doctor("--json", blocked=blocked, fakes={"lmdb": chatty}).stdout)
    assert by_name(report, "packages")["lmdb"]["version"] == "1.0"


def test_weights_that_are_here_are_shown(doctor, tmp_path):
    few = ALL_BUT_SMALL + " onnxruntime PIL lmdb"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "bvlc_googlenet.caffemodel").write_bytes(b"damaged")
    mine = tmp_path / "mine" / "bvlc_alexnet.caffemodel"
    mine.parent.mkdir()
    mine.write_bytes(b"trusted")
    done = doctor("--json", blocked=few, TRTDREAM_WEIGHTS=str(mine.parent))
    weights = by_name(json.loads(done.stdout), "weights")
    assert weights["googlenet"]["path"] is None
    assert "damaged" in done.stderr
    assert weights["alexnet"]["path"] == str(mine)

    done = doctor("--json", blocked=few, TRTDREAM_WEIGHTS=str(tmp_path / "none"))
    assert done.returncode == 0
    assert "TRTDREAM_WEIGHTS" in json.loads(done.stdout)["notes"][0]


def test_tensorrt_rtx_builds_without_a_gpu():
    pytest.importorskip("tensorrt_rtx_bindings")
    if ask_cuda().trouble is None:
        pytest.skip("this machine has a GPU")
    code = "from trtdream.runtime.probe import run; print(run('tensorrt_rtx_bindings', 'GPU'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "builds engines" in done.stdout, done.stdout + done.stderr


def test_the_one_node_graph_is_one():
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(probe.ONE_NODE)
    onnx.checker.check_model(model, full_check=True)
    (node,) = model.graph.node
    assert (node.op_type, list(node.input), list(node.output)) == ("Add", ["x", "x"], ["y"])
    assert model.opset_import[0].version == 17


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_a_gpu_computes(backend):
    provider = {"torch": "cuda", "onnxruntime": "CUDAExecutionProvider"}[backend]
    code = f"from trtdream.runtime.probe import run; print(run({backend!r}, {provider!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'status': 'ok'" in done.stdout, done.stdout + done.stderr


@pytest.mark.gpu
def test_cuda_names_its_gpus():
    import torch

    cuda = ask_cuda()
    properties = torch.cuda.get_device_properties(0)
    assert cuda.trouble is None
    assert cuda.gpus[0].name == properties.name
    assert cuda.gpus[0].capability == f"{properties.major}.{properties.minor}"
    assert abs(cuda.gpus[0].memory - properties.total_memory) < 2**30


# which CUDA majors fit together


def test_equal_majors_fit():
    assert cuda_clashes({"torch": "13.0", "onnxruntime": "13.1", "nvidia-dali": "13"}, "13.2") == []
    assert cuda_clashes({}, None) == []
    assert cuda_clashes({"onnxruntime": "13.0"}, None) == []


def test_another_major_than_torchs_is_named():
    (line,) = cuda_clashes({"torch": "12.8", "onnxruntime": "13.0", "nvidia-dali": "12"}, "13.0")
    assert line.startswith("onnxruntime is for CUDA 13, torch for CUDA 12")


def test_a_driver_runs_older_majors_only():
    assert cuda_clashes({"torch": "12.8"}, "13.0") == []
    (line,) = cuda_clashes({"torch": "13.0"}, "12.4")
    assert line == "torch is for CUDA 13, the driver runs CUDA 12.4: update the driver"
