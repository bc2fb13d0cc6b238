"""Whole networks against real Caffe: every blob, the gradients that dreams follow, the three losses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.net.layer_truth import worst
from trtdream.caffe.prototxt import read_prototxt
from trtdream.net import zoo
from trtdream.net.kind import Phase
from trtdream.net.net import Net
from trtdream.net.torch_module import TorchNet
from trtdream.weights.weights import load_weights

GOOGLENET = ("googlenet_deploy_b1", "bvlc_googlenet_random_seed1234.caffemodel", "googlenet_input", "googlenet_acts")
CAFFENET = (
    "caffenet_fc256_deploy_b1",
    "caffenet_fc256_random_seed4321.caffemodel",
    "caffenet_input",
    "caffenet_fc256_acts",
)


def loaded(net: Net, weights: Path, phase: Phase = Phase.TEST, partial: bool = False) -> TorchNet:
    module = TorchNet(net, phase)
    module.load(load_weights(weights).layers, str(weights), partial)
    return module


@pytest.fixture(scope="module")
def googlenet(truth: Path) -> TorchNet:
    net = read_prototxt(truth / "nets/googlenet_deploy_b1.prototxt")
    return loaded(net, truth / "nets/bvlc_googlenet_random_seed1234.caffemodel")


@pytest.fixture(scope="module")
def picture(truth: Path) -> torch.Tensor:
    return torch.from_numpy(np.load(truth / "nets/googlenet_input.npy"))


@pytest.mark.parametrize(("prototxt", "weights", "data", "blobs"), [GOOGLENET, CAFFENET])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_every_blob(
    truth: Path, prototxt: str, weights: str, data: str, blobs: str, layout: torch.memory_format
) -> None:
    module = loaded(read_prototxt(truth / f"nets/{prototxt}.prototxt"), truth / f"nets/{weights}")
    module.to(memory_format=layout)  # type: ignore[call-overload]
    wanted = {name.replace("|", "/"): value for name, value in np.load(truth / f"nets/{blobs}.npz").items()}
    x = torch.from_numpy(np.load(truth / f"nets/{data}.npy")).contiguous(memory_format=layout)
    with torch.inference_mode():
        found = module(x, [module.graph.blob(name) for name in wanted])
    assert len(wanted) > 10
    for name, value in wanted.items():
        assert worst(found[name].numpy().reshape(value.shape), value) < 1e-5, name


@pytest.mark.parametrize("end", ["inception_4c/output", "inception_3b/5x5_reduce", "inception_3b/output", "conv2/3x3"])
def test_dream_gradients(truth: Path, googlenet: TorchNet, picture: torch.Tensor, end: str) -> None:
    """Of half the squared norm of the value at the layer, before an in-place ReLU, with respect to the picture."""
    gradients = np.load(truth / "nets/googlenet_dream_grads.npz")
    key = end.replace("/", "|")
    objective, found = _gradient(googlenet, picture, googlenet.graph.at_layer(end))
    assert objective == pytest.approx(float(gradients[f"{key}#objective"]), rel=1e-5)
    _check_gradient(found, gradients[f"{key}#grad"])


def test_dream_gradient_behind_the_relu(truth: Path, googlenet: TorchNet, picture: torch.Tensor) -> None:
    gradients = np.load(truth / "nets/googlenet_dream_grads.npz")
    value = googlenet.graph.at_layer("inception_3b/relu_5x5_reduce")
    _, found = _gradient(googlenet, picture, value)
    _check_gradient(found, gradients["inception_3b|5x5_reduce#grad_postrelu"])


def test_three_losses_and_their_gradients(truth: Path) -> None:
    nets = truth / "nets"
    told = json.loads((nets / "googlenet_train_losses.json").read_text())
    net = read_prototxt(nets / "googlenet_train_fc128_nodrop.prototxt")
    module = loaded(net, nets / "bvlc_googlenet_random_seed1234.caffemodel", Phase.TRAIN, partial=True)
    auxiliary: dict[str, list[np.ndarray]] = {}
    for key, array in np.load(nets / "googlenet_train_aux_weights.npz").items():
        auxiliary.setdefault(key.replace("|", "/").rpartition(".")[0], []).append(array)
    assert not module.load(auxiliary, "auxiliary heads", partial=True).unused
    data = _training_batch(nets).requires_grad_()
    values = module({"data": data, "label": torch.tensor([17, 535, 3, 999])})
    loss = module.loss(values)
    assert loss.item() == pytest.approx(told["total_weighted"], rel=1e-6)
    for name, value in told["losses"].items():
        assert values[name].item() == pytest.approx(value, rel=1e-6)
    loss.backward()  # type: ignore[no-untyped-call]
    assert len(told["grad_stats"]) > 100
    for key, stats in told["grad_stats"].items():
        layer, _, index = key.replace("|", "/").rpartition(".")
        gradient = module.weight((layer, int(index))).grad
        assert gradient is not None
        assert gradient.norm().item() == pytest.approx(stats["l2"], rel=5e-4), key


def test_zoo_equals_bvlc(truth: Path, picture: torch.Tensor, googlenet: TorchNet) -> None:
    """The zoo's GoogLeNet, written in Python, is the network of the file."""
    ours = loaded(zoo.build("googlenet"), truth / "nets/bvlc_googlenet_random_seed1234.caffemodel")
    with torch.inference_mode():
        assert torch.equal(ours(picture)["prob"], googlenet(picture)["prob"])


def test_real_network(shared: Path, truth: Path) -> None:
    """The pretrained GoogLeNet on a cat: blobs, probabilities and the dream's gradient."""
    module = loaded(zoo.build("googlenet"), shared / "models/bvlc_googlenet.caffemodel")
    real = np.load(truth / "real/googlenet_cat.npz")
    x = torch.from_numpy(real["input"])[None]
    blobs = [name for name in real.files if name != "input" and not name.startswith("grad|")]
    with torch.inference_mode():
        found = module(x, [name.replace("|", "/") for name in blobs])
    for name in blobs:
        value = real[name]
        assert worst(found[name.replace("|", "/")].numpy().reshape(value.shape), value) < 1e-5, name
    _, gradient = _gradient(module, x, "inception_4c/output")
    _check_gradient(gradient, real["grad|inception_4c|output"][None])


def test_real_probabilities(shared: Path, truth: Path) -> None:
    """The inputs are stored as float16, which alone moves a probability by up to 1.9e-4 (float64 gives the same);
    the cat above, stored in float32, is within 1e-6.
    """
    module = loaded(zoo.build("googlenet"), shared / "models/bvlc_googlenet.caffemodel")
    ten = np.load(truth / "real/googlenet_probs.npz")
    with torch.inference_mode():
        found = module(torch.from_numpy(ten["inputs"].astype(np.float32)))["prob"].numpy()
    assert np.abs(found - ten["probs"]).max() < 2.5e-4
    assert (found.argmax(1) == ten["probs"].argmax(1)).all()


def _gradient(module: TorchNet, x: torch.Tensor, value: str) -> tuple[float, np.ndarray]:
    data = x.clone().requires_grad_()
    blob = module(data, [value])[value]
    objective = 0.5 * (blob * blob).sum()
    return objective.item(), torch.autograd.grad(objective, data)[0].numpy()


def _check_gradient(found: np.ndarray, wanted: np.ndarray) -> None:
    """As tight as single switch flips of max pools and ReLUs allow (caffe-truth/README.md)."""
    assert np.linalg.norm(found - wanted) / np.linalg.norm(wanted) < 1e-2
    cosine = (found * wanted).sum() / np.linalg.norm(found) / np.linalg.norm(wanted)
    assert cosine > 0.9999


def _training_batch(nets: Path) -> torch.Tensor:
    """The four inputs that googlenet_train_losses.json tells of: the cat, mirrored, upside down, rolled."""
    cat = np.load(nets / "googlenet_input.npy")[0]
    rolled = np.roll(cat, (40, 60), axis=(1, 2))
    return torch.from_numpy(np.stack([cat, cat[:, :, ::-1], cat[:, ::-1], rolled]))
