"""Latency and images/s of GoogLeNet and CaffeNet in every backend and precision that is here.

    python benchmarks/inference.py [-o FILE.json] [--networks googlenet caffenet] [--batches 1 8 64 256] [--runs 30]

Random weights and pictures; no image loading. On a CPU nothing is copied. On a GPU each backend is timed with copies
(numpy arrays in and out, through pinned memory) and without (CUDA tensors in and out); engines are built on the spot
for each batch, in a temporary folder. ONNX Runtime uses as many threads as there are cores. A row takes `--seconds` at
most (three runs at least), no engine is begun after `--minutes`; batch 1 and the greatest come first, and what was left
out says why.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import document
import numpy as np
import onnx
import torch

from trtdream.bench.backends import share_of_limit
from trtdream.bench.graphs import graph_of, input_shape, noise, random_model
from trtdream.bench.limits import limits_of
from trtdream.bench.results import Row, per_image, reason
from trtdream.bench.serving import COPIES, NO_COPIES
from trtdream.bench.timing import Repeats, measure
from trtdream.errors import TrtdreamError
from trtdream.export.build import Job, Limits, build_engine
from trtdream.export.precision import FORMS, Precision
from trtdream.net import zoo
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.model import Model
from trtdream.runtime.runner import Runner
from trtdream.runtime.runner_onnx import OnnxRunner
from trtdream.runtime.runner_torch import TorchRunner
from trtdream.runtime.tensorrt import Library, library_for

CPU_PRECISIONS = (Precision.FP32, Precision.INT8)


@dataclass(frozen=True)
class Case:
    """One network at one batch size; data is N x 3 x side x side."""

    network: str
    model: Model
    data: np.ndarray

    @property
    def name(self) -> str:
        return f"{self.network}, batch {len(self.data)}"

    def graph(self, precision: Precision) -> onnx.ModelProto:
        """With a fixed batch, and LRN as a convolution in every precision."""
        return graph_of(self.model, precision, len(self.data))


class Report:
    """The rows measured, and those left out with the reason."""

    def __init__(self, repeats: Repeats) -> None:
        self._repeats = repeats
        self.rows: list[Row] = []

    def time(self, case: Case, backend: str, precision: str, make: Callable[[], Runner]) -> None:
        """With copies and, on a GPU, without; what goes wrong is written down, and the others go on."""
        on_gpu = torch.cuda.is_available() and backend != "onnxruntime cpu"
        try:
            with make() as run:
                self._row(case, backend, precision, run, case.data)
                if on_gpu:
                    self._row(case, backend, precision, run, torch.from_numpy(case.data).cuda())
        except (TrtdreamError, RuntimeError) as error:  # RuntimeError: what torch and ONNX Runtime raise on a GPU
            self.leave_out(case, backend, precision, reason(error))

    def leave_out(self, case: Case, backend: str, precision: str, why: str) -> None:
        self._add(Row(case.name, f"{backend}, {precision}", None, why))

    def _row(self, case: Case, backend: str, precision: str, run: Runner, data: Any) -> None:
        on_gpu = torch.cuda.is_available() and backend != "onnxruntime cpu"
        finish = torch.cuda.synchronize if on_gpu else int
        repeats = self._repeats
        timing = measure(lambda: run(data), repeats.runs, finish=finish, seconds=repeats.seconds)
        copies = "" if not on_gpu else f", {NO_COPIES if isinstance(data, torch.Tensor) else COPIES}"
        about = {"network": case.network, "backend": f"{backend}{copies}", "precision": str(precision)}
        limits = limits_of("cuda" if on_gpu else "cpu")
        share = share_of_limit(case.model, len(case.data), Precision(precision), timing, limits)
        extra = {**per_image(timing, len(case.data)), **about, **share}
        self._add(Row(case.name, f"{backend}, {precision}{copies}", timing, extra=extra))

    def _add(self, row: Row) -> None:
        said = f"{row.timing.median_ms:.3f} ms" if row.timing else f"left out, {row.absent}"
        print(f"{row.name}, {row.part}: {said}", file=sys.stderr)
        self.rows.append(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--networks", nargs="+", default=["googlenet", "caffenet"], choices=sorted(zoo.ZOO))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 64, 256])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "fp16", "int8", "fp8"], choices=list(Precision))
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=5.0, help="that one row may take")
    parser.add_argument("--minutes", type=float, default=6.0, help="after which no further engine is built")
    options = parser.parse_args()
    document.measure("inference", {"device": device_here()}, device_here(), lambda: time_all(options), options.out)


def time_all(options: argparse.Namespace) -> list[Row]:
    report = Report(Repeats(options.runs, seconds=options.seconds))
    batches = sorted(options.batches, key=lambda batch: batch not in (1, max(options.batches)))  # those matter most
    with TemporaryDirectory() as folder:
        deadline = time.monotonic() + 60 * options.minutes
        models = {network: random_model(zoo.build(network)) for network in options.networks}
        for batch in batches:
            for network, model in models.items():
                case = Case(network, model, noise(input_shape(model, batch)))
                time_frameworks(report, case)
                time_engines(report, case, [Precision(p) for p in options.precisions], Path(folder), deadline)
    order = [f"{network}, batch {batch}" for network in options.networks for batch in sorted(options.batches)]
    return sorted(report.rows, key=lambda row: order.index(row.name))  # stable: backends stay


def device_here() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def time_frameworks(report: Report, case: Case) -> None:
    """torch and ONNX Runtime."""
    model, device = case.model, device_here()
    report.time(case, f"torch {device}", "fp32", partial(TorchRunner, model, device=device))
    for precision in CPU_PRECISIONS:
        report.time(case, "onnxruntime cpu", precision, partial(in_onnxruntime, case, precision, "cpu"))
    if device == "cuda":
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


if __name__ == "__main__":
    main()
