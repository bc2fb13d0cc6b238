"""Blob by blob: what Polygraphy finds, and for which files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.export.models import random_model
from tests.export.test_networks import PROB, TOWER
from trtdream.errors import InputRefused, UsageError, VerificationFailed
from trtdream.export.build import Limits, build_engine
from trtdream.export.layers import compare_blobs, compared, first_drift, watched
from trtdream.export.onnx_net import GraphOptions
from trtdream.export.pipeline import EngineRequest, Request, export_onnx, job_for, write_graph
from trtdream.export.precision import Precision
from trtdream.export.samples import Samples
from trtdream.export.sizes import Batch
from trtdream.runtime.manifest import Manifest
from trtdream.runtime.preprocess import Preprocess, preprocess
from trtdream.runtime.tensorrt import Library

MODEL = random_model(TOWER + PROB)
SAMPLES = Samples(np.random.default_rng(0).standard_normal((9, 3, 29, 31), np.float32), None, "9 random inputs")


def exported(folder: Path, precision: Precision, batch: str = "1:4:16") -> Manifest:
    graph = GraphOptions.for_precision(precision, Batch.parse(batch))
    request = Request(precision, graph, folder, "net", "trtdream export net")
    return export_onnx(MODEL, request, write_graph(MODEL, request, SAMPLES), SAMPLES)


@pytest.mark.parametrize("precision", list(Precision))
def test_every_blob_of_every_precision(precision: Precision, tmp_path: Path) -> None:
    manifest = exported(tmp_path, precision)
    blobs = compare_blobs(MODEL, tmp_path, manifest, SAMPLES)
    assert [blob.blob for blob in blobs][:4] == ["c1@c1", "c1", "n1", "p1"] and blobs[-1].blob == "prob"
    first_drift(manifest, blobs)
    assert all(blob.relative_error < (0.3 if precision in ("int8", "fp8") else 0.03) for blob in blobs)


def test_a_graph_that_takes_pictures(tmp_path: Path) -> None:
    model = replace(MODEL, preprocess=Preprocess((29, 31), None, np.array([104, 117, 123], np.float32)))
    options = GraphOptions.for_precision(Precision.FP16, Batch(1, 4, 16), front=True)
    request = Request(Precision.FP16, options, tmp_path, "net", "trtdream export net")
    random = np.random.default_rng(0).integers(0, 256, (9, 29, 31, 3), np.uint8)
    assert model.preprocess is not None
    blobs = np.stack([preprocess(picture, model.preprocess) for picture in random])
    samples = Samples(blobs, random, "9 random pictures")
    manifest = export_onnx(model, request, write_graph(model, request, None), samples)
    assert manifest.inputs == {"images": "Nx29x31x3"}
    found = compare_blobs(model, tmp_path, manifest, samples)
    assert found[0].blob == "data" and all(blob.passed for blob in found)


def test_a_fixed_batch(tmp_path: Path) -> None:
    assert all(blob.passed for blob in compare_blobs(MODEL, tmp_path, exported(tmp_path, Precision.FP32, "4"), SAMPLES))


def test_the_blob_that_drifts_is_named(tmp_path: Path) -> None:
    """A weight in the middle of the ONNX file is another one, and the manifest says that all is well."""
    from trtdream.files import sha256

    manifest = exported(tmp_path, Precision.FP32)
    path = tmp_path / manifest.file
    graph = onnx.load(path)
    (weight,) = (tensor for tensor in graph.graph.initializer if tensor.name == "c2.0")
    weight.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weight), weight.name))
    onnx.save(graph, path)
    with pytest.raises(InputRefused, match="not the ONNX that"):
        compare_blobs(MODEL, tmp_path, manifest, SAMPLES)
    blobs = compare_blobs(MODEL, tmp_path, replace(manifest, onnx_sha256=sha256(path)), SAMPLES)
    with pytest.raises(VerificationFailed, match="c2@c2 is the first to drift"):
        first_drift(manifest, blobs)
    path.unlink()
    with pytest.raises(UsageError, match=r"is missing.*trtdream export net"):
        compare_blobs(MODEL, tmp_path, manifest, SAMPLES)


def test_cosine_and_relative_error_are_those_of_the_worst_input() -> None:
    one = np.array([[3.0, 4.0], [1.0, 0.0]], np.float32)
    other = np.array([[3.0, 4.0], [1.0, 1.0]], np.float32)
    (blob,) = compared({"x": one}, {"x": other}, 0.9)
    assert blob.cosine == pytest.approx(2**-0.5, abs=1e-6) and blob.relative_error == pytest.approx(1.0)
    assert not blob.passed
    (same,) = compared({"x": one}, {"x": one}, 0.99999)
    assert same.passed and same.relative_error == 0
    (broken,) = compared({"x": one}, {"x": np.full_like(one, np.nan)}, 0.9)
    assert not broken.passed and np.isnan(broken.cosine)


def test_an_engine_of_every_blob_builds(tmp_path: Path) -> None:
    """What stands in for an engine, whose blobs nobody sees: the same graph with all of them put out."""
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed")
    manifest = exported(tmp_path, Precision.FP16)
    graph, tensors = watched(tmp_path / manifest.onnx, MODEL)
    assert {"c1@c1", "n1", "cat", "prob"} <= set(tensors)
    onnx.save(graph, tmp_path / "watched.onnx")
    request = EngineRequest(Library("TensorRT-RTX"), None, "8.9")
    target = tmp_path / "watched.engine"
    build_engine(job_for(request, tmp_path / "watched.onnx", target, manifest), Limits(120, 8))
    assert target.stat().st_size > 10_000
