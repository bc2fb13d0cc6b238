"""What this machine has, what of it works, and what is missing: `trtdream doctor`."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from trtdream import __version__
from trtdream.errors import TrtdreamError

PROBE_SECONDS = 180  # a first CUDA start or engine build on a busy machine takes tens of seconds


@dataclass(frozen=True)
class Wanted:
    """A package that trtdream uses: what for, and the command that adds it."""

    module: str
    name: str
    purpose: str
    command: str
    """{cuda} stands for the CUDA major of the packages that are there."""


WANTED = (
    Wanted("torch", "torch", "train, dream, features", "pip install torch"),
    Wanted("onnx", "onnx", "write and check ONNX graphs", "pip install onnx"),
    Wanted("onnxruntime", "onnxruntime", "the reference and fallback", "pip install onnxruntime-gpu"),
    Wanted("tensorrt", "tensorrt", "build and run engines", "pip install tensorrt"),
    Wanted(
        "tensorrt_rtx_bindings",
        "tensorrt-rtx",
        "engines on RTX cards; builds without a GPU",
        "pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings",
    ),
    Wanted("nvidia.dali", "nvidia-dali", "JPEGs to training batches", "pip install nvidia-dali-cuda{cuda}0"),
    Wanted("polygraphy", "polygraphy", "compare backends layer by layer", "pip install polygraphy"),
    Wanted("numpy", "numpy", "arrays", "pip install numpy"),
    Wanted("PIL", "pillow", "read and write pictures", "pip install pillow"),
    Wanted("google.protobuf", "protobuf", "Caffe's files", "pip install protobuf"),
    Wanted("h5py", "h5py", "Caffe's HDF5 files", "pip install h5py"),
    Wanted("safetensors", "safetensors", "weights and snapshots", "pip install safetensors"),
    Wanted("lmdb", "lmdb", "Caffe's databases", "pip install lmdb"),
    Wanted("matplotlib", "matplotlib", "plots", "pip install matplotlib"),
)


@dataclass(frozen=True)
class Package:
    """A package as found; `status` is ok, missing or broken."""

    name: str
    status: str
    version: str | None
    cuda: str | None
    """The CUDA version it was built for, as far as it says."""
    detail: str | None
    purpose: str
    command: str


@dataclass(frozen=True)
class Run:
    """y = x + x on one backend; `status` is ok, unusable (not on this machine) or broken."""

    backend: str
    provider: str
    status: str
    detail: str | None


@dataclass(frozen=True)
class Weights:
    """One of BVLC's official files; `path` is where it lies here."""

    name: str
    path: str | None


@dataclass(frozen=True)
class Report:
    """Everything `trtdream doctor` found."""

    trtdream: str
    python: str
    system: str
    cuda: dict[str, Any]
    packages: tuple[Package, ...]
    runs: tuple[Run, ...]
    weights: tuple[Weights, ...]
    notes: tuple[str, ...]

    @property
    def broken(self) -> list[str]:
        """What is present and does not work, each named with its reason."""
        packages = [f"{p.name} ({p.detail})" for p in self.packages if p.status == "broken"]
        runs = [f"{r.backend} on {r.provider} ({r.detail})" for r in self.runs if r.status == "broken"]
        driver = [f"CUDA driver ({self.cuda['detail']})"] if self.cuda.get("status") == "broken" else []
        return driver + packages + runs


def examine() -> Report:
    """Look at this machine: every package is imported and run in a process of its own, in some seconds."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        cuda_answer = pool.submit(_ask, "cuda")
        answers = dict(zip(WANTED, pool.map(lambda it: _ask("package", it.module), WANTED), strict=True))
        tasks = _tasks({wanted.module: answer for wanted, answer in answers.items()})
        runs = pool.map(lambda task: _run(*task), tasks)
        cuda = cuda_answer.result()
        built_for = {wanted.name: answer["cuda"] for wanted, answer in answers.items() if answer.get("cuda")}
        base = _base(built_for)
        major = built_for[base].split(".")[0] if base else "12"
        weights, notes = _weights()
        return Report(
            trtdream=__version__,
            python=platform.python_version(),
            system=f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
            cuda=cuda,
            packages=tuple(_package(*found, major) for found in answers.items()),
            runs=tuple(runs),
            weights=weights,
            notes=(*cuda_clashes(built_for, cuda.get("version")), *notes),
        )


def cuda_clashes(built_for: Mapping[str, str], driver: str | None) -> list[str]:
    """One line for each pair of CUDA majors that do not fit together.

    `built_for` gives each package's CUDA version, `driver` the newest CUDA that the driver runs (None: no
    driver). onnxruntime loads the CUDA libraries that torch brought, so that theirs must be the same; a
    driver runs its own CUDA major and older ones.
    """
    majors = {name: int(version.split(".")[0]) for name, version in built_for.items()}
    base = _base(majors)
    lines = []
    for name, major in majors.items():
        if base and major != majors[base]:
            lines.append(
                f"{name} is for CUDA {major}, {base} for CUDA {majors[base]}: install both for the same CUDA major"
            )
        if driver and major > int(driver.split(".")[0]):
            lines.append(f"{name} is for CUDA {major}, the driver runs CUDA {driver}: update the driver")
    return lines


def _base(names: Collection[str]) -> str | None:
    """The package whose CUDA the others should follow: torch, else onnxruntime, else the first."""
    return next((name for name in ("torch", "onnxruntime", *names) if name in names), None)


def _tasks(answers: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The (module, provider) pairs to run: those of the packages that are there and import."""
    tasks = []
    if answers["torch"]["status"] == "ok":
        tasks += [("torch", "cpu"), ("torch", "cuda")]
    if answers["onnxruntime"]["status"] == "ok":
        tasks += [("onnxruntime", provider) for provider in answers["onnxruntime"]["providers"]]
    for module in ("tensorrt", "tensorrt_rtx_bindings"):
        if answers[module]["status"] == "ok":
            tasks.append((module, "GPU"))
    return tasks


def _run(module: str, provider: str) -> Run:
    answer = _ask("run", module, provider)
    name = next(wanted.name for wanted in WANTED if wanted.module == module)
    return Run(name, provider, answer["status"], answer.get("detail"))


def _package(wanted: Wanted, answer: Mapping[str, Any], cuda_major: str) -> Package:
    return Package(
        name=wanted.name,
        status=answer["status"],
        version=answer.get("version"),
        cuda=answer.get("cuda"),
        detail=answer.get("detail"),
        purpose=wanted.purpose,
        command=wanted.command.format(cuda=cuda_major),
    )


def _ask(*question: str) -> dict[str, Any]:
    """The answer of `trtdream.runtime.probe`; a process that dies or hangs is an answer: broken."""
    command = [sys.executable, "-m", "trtdream.runtime.probe", *question]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return {"status": "broken", "detail": f"gave no answer in {PROBE_SECONDS} s"}
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"status": "broken", "detail": _death(done.returncode)}
    unloaded = re.search(r"with error: (\S+: cannot open shared object file)", done.stderr)
    if answer.get("status") in ("unusable", "broken") and unloaded:
        answer["detail"] = f"{answer['detail']} ({unloaded.group(1)})"
    return answer


def _death(returncode: int) -> str:
    if returncode < 0:
        return f"the process crashed ({signal.Signals(-returncode).name})"
    return f"the process ended with code {returncode}"


def _weights() -> tuple[tuple[Weights, ...], list[str]]:
    """Which official files lie here, and what kept us from looking."""
    try:  # the weights room needs numpy, which may be what is missing
        from trtdream.weights.cache import find_official
        from trtdream.weights.official import OFFICIAL

        paths = {file.name: find_official(file.name) for file in OFFICIAL}
    except (ImportError, TrtdreamError) as error:
        return (), [f"weights: not looked for ({error})"]
    return tuple(Weights(name, str(path) if path else None) for name, path in paths.items()), []
