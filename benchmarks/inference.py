"""Latency and images/s of GoogLeNet and CaffeNet in every backend and precision that is here.

    python benchmarks/inference.py [-o FILE.json] [--networks googlenet caffenet] [--batches 1 8 64 256] [--runs 30]

Random weights and pictures; no image loading. On a CPU nothing is copied. On a GPU each backend is timed with copies
(numpy arrays in and out, through pinned memory) and without (CUDA tensors in and out); engines are built on the spot
for each batch, in a temporary folder. ONNX Runtime uses as many threads as there are cores. A row takes `--seconds` at
most (three runs at least), no engine is begun after `--minutes`; batch 1 and the greatest come first, and what was left
out says why. Real Caffe's GoogLeNet, batch 1, takes 50.7 ms on two cores (`caffe time`, BVLC/caffe 1.0, OpenBLAS).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch

from trtdream.bench.machine import describe_machine
from trtdream.bench.timing import measure
from trtdream.errors import TrtdreamError
from trtdream.export.build import Job, Limits, build_engine
from trtdream.export.calibrate import ranges
from trtdream.export.onnx_net import GraphOptions, onnx_from_model
from trtdream.export.precision import FORMS, Precision
from trtdream.export.quantise import quantisable, quantise
from trtdream.export.sizes import Batch
from trtdream.files import write_file
from trtdream.net import zoo
from trtdream.net.torch_module import TorchNet
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.model import Model
from trtdream.runtime.runner import Runner
from trtdream.runtime.runner_onnx import OnnxRunner
from trtdream.runtime.runner_torch import TorchRunner
from trtdream.runtime.tensorrt import Library, library_for
from trtdream.weights.weights import Weights

SIDES = {"googlenet": 224, "caffenet": 227, "alexnet": 227}
CPU_PRECISIONS = (Precision.FP32, Precision.INT8)
CALIBRATION = 8  # pictures


@dataclass(frozen=True)
class Case:
    """One network at one batch size. ranges: of all tensors that quantising needs."""

    network: str
    model: Model
    data: np.ndarray  # N x 3 x side x side
    ranges: Mapping[str, float]

    def graph(self, precision: Precision) -> onnx.ModelProto:
        """With a fixed batch, and LRN as a convolution in every precision."""
        count = len(self.data)
        made = write(self.model, precision, Batch(count, count, count))
        kind = FORMS[precision].quantised
        return made if kind is None else quantise(made, kind, self.ranges, quantisable(made))


class Report:
    """The rows measured, and the cases left out with the reason."""

    def __init__(self, runs: int, seconds: float) -> None:
        self._runs, self._seconds = runs, seconds
        self.rows: list[dict[str, Any]] = []
        self.left_out: list[dict[str, Any]] = []

    def time(self, case: Case, backend: str, precision: str, make: Callable[[], Runner]) -> None:
        """With copies and, on a GPU, without; what goes wrong is written down, and the others go on."""
        try:
            with make() as run:
                self._row(case, backend, precision, run, case.data)
                if torch.cuda.is_available() and backend != "onnxruntime cpu":
                    self._row(case, backend, precision, run, torch.from_numpy(case.data).cuda())
        except (TrtdreamError, RuntimeError) as error:  # RuntimeError: what torch and ONNX Runtime raise on a GPU
            self.leave_out(case, backend, precision, " ".join(str(error).split())[:300])

    def leave_out(self, case: Case, backend: str, precision: str, why: str) -> None:
        print(f"{case.network} b{len(case.data)} {backend} {precision}: left out, {why}", file=sys.stderr)
        self.left_out.append({**_named(case, backend, precision), "why": why})

    def _row(self, case: Case, backend: str, precision: str, run: Runner, data: Any) -> None:
        on_gpu = torch.cuda.is_available()
        finish = torch.cuda.synchronize if on_gpu else int
        timing = measure(lambda: run(data), self._runs, finish=finish, seconds=self._seconds)
        copied = on_gpu and not isinstance(data, torch.Tensor) and backend != "onnxruntime cpu"
        print(f"{case.network} b{len(case.data)} {backend} {precision} {timing.median_ms:.3f} ms", file=sys.stderr)
        self.rows.append(
            {
                **_named(case, backend, precision),
                "copies": "in and out" if copied else "none",
                **timing.as_document(),
                "images_per_s": round(len(case.data) / timing.median_ms * 1e3, 1),
            }
        )


def _named(case: Case, backend: str, precision: str) -> dict[str, Any]:
    return {"network": case.network, "batch": len(case.data), "backend": backend, "precision": str(precision)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--networks", nargs="+", default=["googlenet", "caffenet"], choices=sorted(SIDES))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 64, 256])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "fp16", "int8", "fp8"], choices=list(Precision))
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=5.0, help="that one row may take")
    parser.add_argument("--minutes", type=float, default=6.0, help="after which no further engine is built")
    options = parser.parse_args()
    report = Report(options.runs, options.seconds)
    batches = sorted(options.batches, key=lambda batch: batch not in (1, max(options.batches)))  # those matter most
    with TemporaryDirectory() as folder:
        deadline = time.monotonic() + 60 * options.minutes
        made = {network: _network(network) for network in options.networks}
        for batch in batches:
            for network, (model, ranges_of) in made.items():
                case = Case(network, model, pictures(network, batch), ranges_of)
                time_frameworks(report, case)
                time_engines(report, case, [Precision(p) for p in options.precisions], Path(folder), deadline)
    report.rows.sort(key=lambda row: (options.networks.index(row["network"]), row["batch"]))  # stable: backends stay
    document = json.dumps({"machine": describe_machine(), "rows": report.rows, "left_out": report.left_out}, indent=1)
    print(document)
    if options.out:
        write_file(options.out, document + "\n")


def time_frameworks(report: Report, case: Case) -> None:
    """torch and ONNX Runtime."""
    model, on_gpu = case.model, torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    report.time(case, f"torch {device}", "fp32", partial(TorchRunner, model, device=device))
    for precision in CPU_PRECISIONS:
        report.time(case, "onnxruntime cpu", precision, partial(in_onnxruntime, case, precision, "cpu"))
    if on_gpu:
        report.time(case, "torch cuda", "fp16", partial(TorchRunner, model, device="cuda", float_type="float16"))
        for precision in (Precision.FP32, Precision.FP16):
            report.time(case, "onnxruntime cuda", precision, partial(in_onnxruntime, case, precision, "cuda"))


def time_engines(report: Report, case: Case, precisions: list[Precision], folder: Path, deadline: float) -> None:
    """TensorRT, where it is; the timing cache serves all builds."""
    library = library_for(ask_cuda().gpus, None)
    for precision in precisions:
        if library is None:
            report.leave_out(case, "TensorRT", precision, "no GPU, or no TensorRT for it, is here")
        elif library.major < FORMS[precision].oldest_tensorrt:
            report.leave_out(case, library.name, precision, f"TensorRT {library.version} has it not")
        elif time.monotonic() > deadline:
            report.leave_out(case, library.name, precision, "the time for building engines is over (--minutes)")
        else:
            limits = Limits(seconds=max(deadline - time.monotonic(), 60))
            report.time(case, library.name, precision, partial(built, library, case, precision, folder, limits))


def in_onnxruntime(case: Case, precision: Precision, device: str) -> Runner:
    return OnnxRunner(case.graph(precision), device)


def built(library: Library, case: Case, precision: Precision, folder: Path, limits: Limits) -> Runner:
    from trtdream.runtime.runner_tensorrt import TensorRTRunner

    source, engine = folder / "net.onnx", folder / "net.engine"
    source.write_bytes(case.graph(precision).SerializeToString())
    cache = str(folder / "timing.cache")
    build_engine(Job(library.name, str(source), str(engine), precision, timing_cache=cache, inspect=False), limits)
    return TensorRTRunner(engine, trust=True)


def write(model: Model, precision: Precision, batch: Batch) -> onnx.ModelProto:
    return onnx_from_model(model, GraphOptions.for_precision(precision, batch, lrn_as_convolution=True))


def pictures(network: str, count: int) -> np.ndarray:
    side = SIDES[network]
    return (50 * np.random.default_rng(0).standard_normal((count, 3, side, side))).astype(np.float32)


def _network(network: str) -> tuple[Model, Mapping[str, float]]:
    """Random weights, and the ranges of the blobs."""
    net = zoo.build(network)
    torch.manual_seed(0)
    model = Model(net, Weights(TorchNet(net).arrays(), "random", "0" * 64), None)
    made = write(model, Precision.INT8, Batch(1, CALIBRATION, CALIBRATION))
    return model, ranges(made, quantisable(made), pictures(network, CALIBRATION))


if __name__ == "__main__":
    main()
