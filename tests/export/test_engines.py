"""The folder of exports, and what classifies fastest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trtdream.errors import InputRefused, UsageError
from trtdream.export.engines import fastest_classifier, find_engine, list_engines, remove
from trtdream.export.onnx_net import GraphOptions
from trtdream.export.pipeline import Request, export_onnx, write_graph
from trtdream.export.precision import Precision
from trtdream.export.samples import bundled_samples
from trtdream.export.sizes import Batch
from trtdream.runtime.classify import classify
from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.image import load_image
from trtdream.runtime.manifest import Built, Manifest, write_manifest
from trtdream.runtime.open_model import bundled
from trtdream.runtime.tensorrt import this_platform

MODEL = bundled()
PICTURES = [load_image(path) for path in sorted(Path("trtdream/export/photographs").glob("*.jpg"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled network exported in int8, for any batch and for four, and in fp16."""
    made = tmp_path_factory.mktemp("engines")
    samples = bundled_samples(MODEL)
    for precision, batch in ((Precision.INT8, Batch(4, 4, 4)), (Precision.FP16, Batch(1, 8, 64))):
        graph = GraphOptions.for_precision(precision, batch)
        request = Request(precision, graph, made, "bundled", "trtdream export")
        export_onnx(MODEL, request, write_graph(MODEL, request, replace(samples, blobs=samples.blobs[:16])), samples)
    return made


def classes(folder: Path, **options: str) -> list[list[int]]:
    found = classify(MODEL, PICTURES, 3, classifier=fastest_classifier(MODEL, folder, **options))
    return [[one.index for one in each] for each in found]


def test_without_exports_onnx_runtime_classifies_as_torch_does(tmp_path: Path) -> None:
    classifier = fastest_classifier(MODEL, tmp_path)
    assert "ONNX Runtime" in classifier.runner.description
    if not ask_cuda().gpus:
        assert classifier.instead == "no GPU here for an engine"
    wanted = classify(MODEL, PICTURES, 3)
    found = classify(MODEL, PICTURES, 3, classifier=fastest_classifier(MODEL, tmp_path))
    for one, other in zip(found, wanted, strict=True):
        assert [seen.label for seen in one] == [seen.label for seen in other]
        np.testing.assert_allclose([s.probability for s in one], [s.probability for s in other], atol=1e-5)


def test_a_lower_precision_only_if_asked_for(folder: Path) -> None:
    classifier = fastest_classifier(MODEL, folder)
    assert classifier.batch == 8 and not classifier.fixed
    exact = classes(folder)
    assert [each[0] for each in classes(folder, precision="int8")] == [each[0] for each in exact]  # batches of four
    assert [each[0] for each in classes(folder, precision="fp16")] == [each[0] for each in exact]
    with pytest.raises(UsageError, match="no verified bf16 export"):
        fastest_classifier(MODEL, folder, precision="bf16")


def test_exports_of_other_weights_are_not_used(folder: Path) -> None:
    other = replace(MODEL, weights=replace(MODEL.weights, sha256="f" * 64))
    with pytest.raises(UsageError, match="no verified int8 export"):
        fastest_classifier(other, folder, precision="int8")


def test_what_failed_its_verification_is_not_used(folder: Path, tmp_path: Path) -> None:
    for manifest in list_engines(folder):
        write_manifest(tmp_path, replace(manifest, passed=False))
    with pytest.raises(UsageError, match="no verified int8 export"):
        fastest_classifier(MODEL, tmp_path, precision="int8")


def test_a_changed_file_is_refused(folder: Path, tmp_path: Path) -> None:
    (manifest,) = (one for one in list_engines(folder) if one.precision == "fp16")
    write_manifest(tmp_path, manifest)
    (tmp_path / manifest.file).write_bytes((folder / manifest.file).read_bytes() + b"\0")
    with pytest.raises(InputRefused, match="SHA-256 differs"):
        fastest_classifier(MODEL, tmp_path, precision="fp16")


def test_an_engine_that_does_not_fit_is_said_and_left(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifest,) = (one for one in list_engines(folder) if one.precision == "fp16")
    built = Built("TensorRT", "0.1", "No GPU of this world", "1.0", this_platform())
    write_manifest(tmp_path, replace(manifest, file="bundled.engine", built=built))
    from trtdream.export.engines import _from_engine

    assert _from_engine(tmp_path, list_engines(tmp_path)) is None
    assert "bundled.engine is not used: was built " in capsys.readouterr().err


def test_finding_by_a_part_of_the_name(folder: Path) -> None:
    where, manifest = find_engine("int8", folder)
    assert (where, manifest.precision) == (folder, "int8")
    assert find_engine(str(folder / manifest.file))[1] == manifest
    with pytest.raises(UsageError, match="several are"):
        find_engine("bundled", folder)
    with pytest.raises(UsageError, match="nothing in engines"):
        find_engine("resnet", folder)


def test_a_damaged_manifest_does_not_hide_the_others(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest: Manifest = list_engines(folder)[0]
    write_manifest(tmp_path, manifest)
    (tmp_path / "damaged.onnx.json").write_text("{")
    assert list_engines(tmp_path) == [manifest]
    assert "damaged.onnx.json" in capsys.readouterr().err
    (tmp_path / manifest.file).write_bytes(b"")
    assert {path.name for path in remove(tmp_path, manifest)} == {manifest.file, f"{manifest.file}.json"}
