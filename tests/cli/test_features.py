from pathlib import Path

import numpy as np

from tests.cli.command import refused, run
from tests.net.layer_truth import worst


def test_blobs_and_gradient_are_caffes(truth: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.npz"
    nets = truth / "nets"
    ran = run(
        *("features", nets / "googlenet_input.npy", "--net", nets / "googlenet_deploy_b1.prototxt"),
        *("--weights", nets / "bvlc_googlenet_random_seed1234.caffemodel"),
        *("--blob", "inception_3b/5x5_reduce", "--blob", "prob", "--gradient-of", "inception_3b/5x5_reduce"),
        *("-o", out, "--json"),
    )
    assert ran.code == 0, ran.err
    found, caffes = np.load(out), np.load(nets / "googlenet_acts.npz")
    assert set(found.files) == {"inception_3b|5x5_reduce", "prob", "grad|inception_3b|5x5_reduce"}
    for key in ("inception_3b|5x5_reduce", "prob"):
        assert worst(found[key].reshape(caffes[key].shape), caffes[key]) < 1e-5
    gradient = np.load(nets / "googlenet_dream_grads.npz")["inception_3b|5x5_reduce#grad"]
    assert np.linalg.norm(found["grad|inception_3b|5x5_reduce"] - gradient) < 1e-2 * np.linalg.norm(gradient)


def test_several_inputs(truth: Path, tmp_path: Path) -> None:
    """An .npz names the inputs: here a batch with its labels, through the network as it is trained."""
    images = np.load(truth / "train/images.npz")
    run_truth = np.load(truth / "train/it1_run.npz")
    index = run_truth["batch_index"][0]
    data = images["images_bgr_chw_uint8"][index].astype(np.float32) - images["mean"]
    np.savez(tmp_path / "batch.npz", data=data, label=images["labels"][index].astype(np.float32))
    out = tmp_path / "out.npz"
    ran = run(
        *("features", tmp_path / "batch.npz", "--net", truth / "train/train_input.prototxt", "--phase", "TRAIN"),
        *("--weights", truth / "train/initial.caffemodel", "--blob", "loss", "-o", out),
    )
    assert ran.code == 0, ran.err
    assert abs(float(np.load(out)["loss"]) - run_truth["loss_per_subbatch_float32"].ravel()[0]) < 1e-5


def test_a_picture(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    weights = shared / "models/bvlc_googlenet.caffemodel"
    ran = run("features", shared / "images/caffe_bsd/cat.jpg", "--weights", weights, "--blob", "prob", "-o", out)
    assert ran.code == 0, ran.err
    assert np.load(out)["prob"].argmax() in (281, 282)  # tabby, tiger cat


def test_refusals(shared: Path, tmp_path: Path) -> None:
    cat, out = shared / "images/caffe_bsd/cat.jpg", tmp_path / "out.npz"
    real = ("--weights", shared / "models/bvlc_googlenet.caffemodel", "-o", out)
    refused(run("features", cat, *real), 2, "--blob")
    refused(run("features", cat, *real, "--blob", "inception_4c/ouput"), 2, "inception_4c/output")
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    refused(run("features", tmp_path / "words.npy", *real, "--blob", "prob"), 3, "words.npy", "numbers")
    np.savez(tmp_path / "other.npz", nothing=np.zeros(3))
    refused(run("features", tmp_path / "other.npz", *real, "--blob", "prob"), 2, "no input nothing")
    np.save(tmp_path / "whole.npy", np.zeros((1, 3, 224, 224), np.float32))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:1000])
    refused(run("features", tmp_path / "cut.npy", *real, "--blob", "prob"), 3, "cut.npy")
    np.save(tmp_path / "flat.npy", np.zeros((1, 3), np.float32))
    refused(run("features", tmp_path / "flat.npy", *real, "--blob", "prob"), 3, "conv1/7x7_s2")
    assert not out.exists()
    out.write_bytes(b"mine")
    refused(run("features", cat, *real, "--blob", "prob"), 2, "--force")
    assert out.read_bytes() == b"mine"
