"""Engines built, run and verified on a GPU with a TensorRT that runs there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trtdream.export.engines import fastest_classifier
from trtdream.export.onnx_net import GraphOptions
from trtdream.export.pipeline import EngineRequest, Request, export_engine, export_onnx, write_graph
from trtdream.export.precision import FORMS, Precision
from trtdream.export.samples import bundled_samples
from trtdream.export.sizes import Batch
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.open_model import bundled
from trtdream.runtime.tensorrt import Library, library_for

pytestmark = pytest.mark.gpu
MODEL = bundled()


@pytest.fixture(scope="module")
def library() -> Library:
    found = library_for(ask_cuda().gpus, None)
    if found is None:
        pytest.skip("no TensorRT that runs on this GPU")
    return found


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("batch", ["4", "1:4:16"])
def test_engine(library: Library, precision: Precision, batch: str, tmp_path: Path) -> None:
    """Built, inspected, verified on the bundled crops, and used by classify; numpy and CUDA tensors give the same."""
    if library.major < FORMS[precision].oldest_tensorrt:
        pytest.skip(f"{precision} needs a newer TensorRT")
    gpu, samples = ask_cuda().gpus[0], bundled_samples(MODEL)
    request = Request(precision, GraphOptions.for_precision(precision, Batch.parse(batch)), tmp_path, "net", "")
    made = export_onnx(MODEL, request, write_graph(MODEL, request, replace(samples, blobs=samples.blobs[:16])), samples)
    engine = export_engine(MODEL, request, EngineRequest(library, gpu, gpu.capability), made, samples)
    assert engine.passed and engine.verification[0]["top1_agreement"] >= FORMS[precision].least_agreement

    classifier = fastest_classifier(MODEL, tmp_path, "cuda")
    assert library.name in classifier.runner.description
    data = samples.blobs[:4]
    with classifier.runner as run:
        arrays = [np.asarray(run(data)["prob"]) for _ in range(3)]  # the first captures a CUDA graph
        tensors = run(torch.from_numpy(data).cuda())["prob"]
    for found in (*arrays[1:], tensors.cpu().numpy()):
        np.testing.assert_allclose(found, arrays[0], atol=1e-3)
