import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import refused, run


@pytest.fixture
def folder(truth: Path, tmp_path: Path) -> Path:
    """A Caffe model's files as people keep them."""
    made = tmp_path / "model"
    made.mkdir()
    shutil.copy(truth / "formats/mini_deploy.prototxt", made / "deploy.prototxt")
    shutil.copy(truth / "formats/mini_v1_legacy.caffemodel", made / "mini.caffemodel")
    shutil.copy(truth / "train/mean.binaryproto", made)
    shutil.copy(truth / "train/solver_it1.prototxt", made / "solver.prototxt")
    (made / "labels.txt").write_text("".join(f"thing {i}\n" for i in range(8)))
    return made


def test_a_bundle_is_a_network(shared: Path, truth: Path, folder: Path, tmp_path: Path) -> None:
    """Its mean, labels and answers travel with it; the files it was made of may go."""
    bundle = tmp_path / "bundle"
    ran = run("import", folder, "-o", bundle, "--json")
    assert ran.code == 0, ran.err
    assert ran.document["classes"] == 8
    shutil.rmtree(folder)
    cat = shared / "images/caffe_bsd/cat.jpg"
    document = run("classify", cat, "--net", bundle, "--json").document
    assert document["images"][0]["top"][0]["label"].startswith("thing ")
    told = np.load(truth / "formats/mini_prob.npz")
    np.save(tmp_path / "data.npy", told["data"])
    out = tmp_path / "out.npz"
    run("features", tmp_path / "data.npy", "--net", bundle, "--blob", "prob", "-o", out)
    np.testing.assert_allclose(np.load(out)["prob"], told["prob"], atol=1e-6)
    assert run("layers", bundle).code == 0
    dream = tmp_path / "dream.png"
    assert run("dream", cat, "--net", bundle, "--layer", "conv1", "--iterations", "1", "-o", dream).code == 0


def test_mean_of_a_train_val(truth: Path, tmp_path: Path) -> None:
    """The data layer's transform_param says what the network was trained with."""
    train_val = tmp_path / "train_val.prototxt"
    text = (truth / "formats/mini_deploy.prototxt").read_text()
    (tmp_path / "deploy.prototxt").write_text(text)
    train_val.write_text(
        'layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }\n'
        "  transform_param { crop_size: 48 mean_value: 1 mean_value: 2 mean_value: 3 scale: 0.5 }\n"
        '  data_param { source: "x" batch_size: 2 backend: LMDB } }\n'
    )
    weights = truth / "formats/mini.caffemodel.h5"
    ran = run("import", tmp_path / "deploy.prototxt", train_val, weights, "-o", tmp_path / "bundle")
    assert ran.code == 0, ran.err
    index = (tmp_path / "bundle/bundle.json").read_text()
    assert '"scale": 0.5' in index
    assert "1.0,\n      2.0,\n      3.0" in index


def test_refusals(truth: Path, folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copy(folder / "mini.caffemodel", folder / "second.caffemodel")
    refused(run("import", folder, "-o", bundle), 2, "mini.caffemodel", "second.caffemodel")
    (folder / "second.caffemodel").unlink()
    refused(run("import", folder, "-o", bundle, "--squash", "big"), 2, "256x256")
    refused(run("import", folder, "-o", bundle, "--squash", "20x20"), 3, "48 x 48")
    shutil.copy(truth / "nets/caffenet_fc256_random_seed4321.caffemodel", folder / "mini.caffemodel")
    refused(run("import", folder, "-o", bundle), 3, "mini.caffemodel")
    (folder / "mini.caffemodel").unlink()
    refused(run("import", folder, "-o", bundle), 2, "file of weights")
    assert not bundle.exists()


def test_a_changed_bundle_is_refused(shared: Path, folder: Path, tmp_path: Path) -> None:
    bundle, cat = tmp_path / "bundle", shared / "images/caffe_bsd/cat.jpg"
    run("import", folder, "-o", bundle)
    refused(run("import", folder, "-o", bundle), 2, "exists already")
    weights = bundle / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    refused(run("classify", cat, "--net", bundle), 3, "SHA-256")
    weights.unlink()
    refused(run("classify", cat, "--net", bundle), 3, "incomplete")
    (bundle / "bundle.json").write_text("{}")
    refused(run("classify", cat, "--net", bundle), 3, "bundle.json")
