"""Engines built, run and verified on a GPU with a TensorRT that runs there; on the bundled network, which needs no
network of computers.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from trtdream.errors import InputRefused, UsageError
from trtdream.export.engines import fastest_classifier
from trtdream.export.layers import compare_blobs, first_drift
from trtdream.export.onnx_net import GraphOptions
from trtdream.export.pipeline import EngineRequest, Request, export_engine, export_onnx, write_graph
from trtdream.export.precision import FORMS, Precision
from trtdream.export.samples import bundled_samples
from trtdream.export.sizes import Batch
from trtdream.export.trusted import trust_plan
from trtdream.export.verify import verify_file
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.engine_trust import check_engine
from trtdream.runtime.manifest import Manifest, manifest_path, read_manifest
from trtdream.runtime.open_model import bundled
from trtdream.runtime.runner_tensorrt import TensorRTRunner
from trtdream.runtime.tensorrt import Library

pytestmark = pytest.mark.gpu
MODEL = bundled()
SAMPLES = bundled_samples(MODEL)
LEVEL = 2  # of the builder's five: engines for a test need not be the fastest


@dataclass(frozen=True)
class Made:
    """An engine and its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def path(self) -> Path:
        return self.folder / self.manifest.file


@pytest.fixture(scope="module")
def engine(library: Library, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """Makes the engine of a precision for a batch, once."""

    @cache
    def make(precision: Precision, batch: str = "1:4:16") -> Made:
        if library.major < FORMS[precision].oldest_tensorrt:
            pytest.skip(f"{precision} needs a newer TensorRT")
        folder, gpu = tmp_path_factory.mktemp(precision), ask_cuda().gpus[0]
        request = Request(precision, GraphOptions.for_precision(precision, Batch.parse(batch)), folder, "net", "again")
        calibration = replace(SAMPLES, blobs=SAMPLES.blobs[:16])
        onnx = export_onnx(MODEL, request, write_graph(MODEL, request, calibration), SAMPLES)
        wanted = EngineRequest(library, gpu, gpu.capability, level=LEVEL)
        return Made(folder, export_engine(MODEL, request, wanted, onnx, SAMPLES))

    return make


@pytest.mark.parametrize("precision", list(Precision))
def test_built_inspected_and_verified(engine, library: Library, precision: Precision) -> None:  # type: ignore[no-untyped-def]
    made = engine(precision)
    assert made.manifest.passed and made.manifest.verification[0]["top1_agreement"] >= FORMS[precision].least_agreement
    assert read_manifest(made.path) == made.manifest
    assert library.name in fastest_classifier(MODEL, made.folder, "cuda").runner.description
    found = verify_file(MODEL, made.folder, made.manifest, SAMPLES)
    assert found.cosine == pytest.approx(made.manifest.verification[0]["cosine"], abs=1e-4)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16, Precision.INT8])
def test_a_fixed_batch(engine, precision: Precision) -> None:  # type: ignore[no-untyped-def]
    made = engine(precision, "4")
    with TensorRTRunner(made.path) as run:
        assert np.asarray(run(SAMPLES.blobs[:4])["prob"]).shape == (4, 10)
        with pytest.raises(UsageError, match="none that it was built for"):
            run(SAMPLES.blobs[:3])


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16, Precision.INT8])
def test_arrays_and_tensors_of_any_batch_agree(engine, precision: Precision) -> None:  # type: ignore[no-untyped-def]
    """Each batch size has its CUDA graph and context; they do not disturb each other, nor what tensors do."""
    made = engine(precision)
    with TensorRTRunner(made.path) as run:
        first = {count: np.asarray(run(SAMPLES.blobs[:count])["prob"]) for count in (1, 3, 4, 16)}
        for count, wanted in first.items():
            np.testing.assert_array_equal(np.asarray(run(SAMPLES.blobs[:count])["prob"]), wanted)
            tensors = run(torch.from_numpy(SAMPLES.blobs[:count]).cuda())["prob"]
            assert isinstance(tensors, torch.Tensor) and tensors.is_cuda
            np.testing.assert_allclose(tensors.cpu().numpy(), wanted, atol=1e-3)
        np.testing.assert_allclose(first[1], first[16][:1], atol=2e-2)  # other kernels may serve another batch
        with pytest.raises(UsageError, match="none that it was built for"):
            run(np.repeat(SAMPLES.blobs[:1], 17, 0))


def test_more_batch_sizes_than_graphs_are_kept(engine) -> None:  # type: ignore[no-untyped-def]
    with TensorRTRunner(engine(Precision.FP16).path) as run:
        for count in (*range(1, 13), 1):
            assert np.asarray(run(SAMPLES.blobs[:count])["prob"]).shape == (count, 10)


def test_two_contexts_at_once(engine) -> None:  # type: ignore[no-untyped-def]
    """In two threads, each on its own stream."""
    data = torch.from_numpy(SAMPLES.blobs[:4]).cuda()
    with TensorRTRunner(engine(Precision.FP16).path) as one, one.another() as other, ThreadPoolExecutor(2) as pool:
        wanted = one(data)["prob"].cpu()

        def many(run: TensorRTRunner) -> torch.Tensor:
            with torch.cuda.stream(torch.cuda.Stream()):
                return torch.stack([torch.as_tensor(run(data)["prob"]) for _ in range(50)]).cpu()

        for found in pool.map(many, (one, other)):
            torch.testing.assert_close(found, wanted.expand_as(found), atol=1e-3, rtol=0)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16, Precision.INT8])
def test_blob_by_blob(engine, precision: Precision) -> None:  # type: ignore[no-untyped-def]
    made = engine(precision)
    blobs = compare_blobs(MODEL, made.folder, made.manifest, SAMPLES)
    assert len(blobs) > 50 and blobs[-1].blob == "prob"
    first_drift(made.manifest, blobs)


def test_a_changed_engine_is_not_loaded(engine, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    made = engine(Precision.FP16)
    content = bytearray(made.path.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / made.path.name).write_bytes(content)
    manifest_path(tmp_path / made.path.name).write_bytes(manifest_path(made.path).read_bytes())
    with pytest.raises(InputRefused, match="SHA-256 differs"):
        TensorRTRunner(tmp_path / made.path.name)


def test_a_plan_from_elsewhere_is_trusted_once(engine, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    plan = tmp_path / "theirs.plan"
    plan.write_bytes(engine(Precision.FP16).path.read_bytes())
    with pytest.raises(InputRefused, match="has no manifest"):
        TensorRTRunner(plan)
    trust_plan(plan, MODEL)
    manifest = check_engine(plan, ask_cuda().gpus)
    assert manifest.built and manifest.built.trusted and manifest.batch == (1, 4, 16)
    assert verify_file(MODEL, tmp_path, manifest, SAMPLES).top1_agreement == 1.0
