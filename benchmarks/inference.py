"""Latency and images/s of GoogLeNet and CaffeNet in every backend and precision that is here.

    python benchmarks/inference.py [-o FILE.json] [--networks googlenet caffenet] [--batches 1 8 64 256] [--runs 30]

Random weights and pictures; no image loading. On a CPU nothing is copied. On a GPU each backend is timed with copies
(numpy arrays in and out, through pinned memory) and without (CUDA tensors in and out); engines are built on the spot
for each batch. ONNX Runtime uses as many threads as there are cores. Real Caffe's GoogLeNet, batch 1, takes 50.7 ms on
two cores (`caffe time`, BVLC/caffe 1.0, OpenBLAS).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
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
from trtdream.runtime.tensorrt import library_for
from trtdream.weights.weights import Weights

SIDES = {"googlenet": 224, "caffenet": 227, "alexnet": 227}
CPU_PRECISIONS = (Precision.FP32, Precision.INT8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--networks", nargs="+", default=["googlenet", "caffenet"], choices=sorted(SIDES))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 64, 256])
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    rows = []
    for network in options.networks:
        for batch in options.batches:
            rows += list(time_network(network, batch, options.runs))
    document = json.dumps({"machine": describe_machine(), "rows": rows}, indent=1)
    print(document)
    if options.out:
        write_file(options.out, document + "\n")


def time_network(network: str, batch: int, runs: int) -> Iterator[dict[str, Any]]:
    model, side = random_model(network), SIDES[network]
    data = (50 * np.random.default_rng(0).standard_normal((batch, 3, side, side))).astype(np.float32)
    for backend, precision, runner in runners(model, data):
        with runner as run:
            yield row(network, batch, backend, precision, run, data, runs)
            if torch.cuda.is_available():
                tensor = torch.from_numpy(data).cuda()
                yield row(network, batch, backend, precision, run, tensor, runs)


def row(network: str, batch: int, backend: str, precision: str, run: Runner, data: Any, runs: int) -> dict[str, Any]:
    on_gpu = torch.cuda.is_available()
    timing = measure(lambda: run(data), runs, finish=torch.cuda.synchronize if on_gpu else int)
    copies = "none" if not on_gpu else "none" if isinstance(data, torch.Tensor) else "in and out"
    print(f"{network} b{batch} {backend} {precision} {timing.median_ms:.2f} ms", file=sys.stderr)
    return {
        "network": network,
        "batch": batch,
        "backend": backend,
        "precision": precision,
        "copies": copies,
        **timing.as_document(),
        "images_per_s": round(batch / timing.median_ms * 1e3, 1),
    }


def runners(model: Model, data: np.ndarray) -> Iterator[tuple[str, str, Runner]]:
    """Every backend and precision that runs here."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    yield f"torch {device}", "fp32", TorchRunner(model, device=device)
    batch = Batch(len(data), len(data), len(data))
    for precision in CPU_PRECISIONS:
        yield "onnxruntime cpu", precision, OnnxRunner(write(model, precision, batch, data))
    if device == "cuda":
        yield "torch cuda", "fp16", TorchRunner(model, device="cuda", float_type="float16")
        yield from _onnxruntime_cuda(model, batch, data)
        yield from _engines(model, batch, data)


def write(model: Model, precision: Precision, batch: Batch, data: np.ndarray) -> onnx.ModelProto:
    """The graph, with LRN as a convolution in every precision."""
    made = onnx_from_model(model, GraphOptions.for_precision(precision, batch, lrn_as_convolution=True))
    kind = FORMS[precision].quantised
    if kind is None:
        return made
    layers = quantisable(made)
    return quantise(made, kind, ranges(made, layers, data[:8]), layers)


def _onnxruntime_cuda(model: Model, batch: Batch, data: np.ndarray) -> Iterator[tuple[str, str, Runner]]:
    for precision in (Precision.FP32, Precision.FP16):
        try:
            yield "onnxruntime cuda", precision, OnnxRunner(write(model, precision, batch, data), "cuda")
        except TrtdreamError as error:
            print(f"onnxruntime cuda: {error}", file=sys.stderr)
            return


def _engines(model: Model, batch: Batch, data: np.ndarray) -> Iterator[tuple[str, str, Runner]]:
    from trtdream.runtime.runner_tensorrt import TensorRTRunner

    library = library_for(ask_cuda().gpus, None)
    if library is None:
        return
    for precision in Precision:
        if library.major < FORMS[precision].oldest_tensorrt:
            continue
        with TemporaryDirectory() as folder:
            source, engine = Path(folder) / "net.onnx", Path(folder) / "net.engine"
            source.write_bytes(write(model, precision, batch, data).SerializeToString())
            build_engine(Job(library.name, str(source), str(engine), precision), Limits())
            yield library.name, precision, TensorRTRunner(engine, trust=True)


def random_model(network: str) -> Model:
    net = zoo.build(network)
    torch.manual_seed(0)
    return Model(net, Weights(TorchNet(net).arrays(), "random", "0" * 64), None)


if __name__ == "__main__":
    main()
