"""The same work on a GPU and on the CPU. `pytest -m gpu` runs the GPU's half; the CPU's runs everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.net.layer_truth import worst
from trtdream.dream.computing import Computing
from trtdream.dream.dream import dream
from trtdream.dream.dreamer import Dreamer
from trtdream.net import zoo
from trtdream.net.torch_module import TorchNet
from trtdream.recipe.dream_schema import Settings
from trtdream.runtime.classify import classify
from trtdream.runtime.device import pick_device
from trtdream.runtime.image import load_image
from trtdream.runtime.open_model import bundled
from trtdream.weights.weights import load_weights

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("device", DEVICES)
def test_every_blob_is_caffes(shared: Path, truth: Path, device: str) -> None:
    """Float32 is float32: no TF32 creeps in."""
    module = TorchNet(zoo.build("googlenet"))
    module.load(load_weights(shared / "models/bvlc_googlenet.caffemodel").layers, "real")
    module.to(pick_device(device))
    real = np.load(truth / "real/googlenet_cat.npz")
    blobs = [name for name in real.files if name != "input" and not name.startswith("grad|")]
    with torch.inference_mode():
        x = torch.from_numpy(real["input"])[None].to(device)
        found = module(x, [name.replace("|", "/") for name in blobs])
    for name in blobs:
        value = found[name.replace("|", "/")].cpu().numpy().reshape(real[name].shape)
        assert worst(value, real[name]) < 1e-5, name


@pytest.mark.parametrize(
    ("device", "dtype"),
    [
        pytest.param("cpu", torch.bfloat16, marks=pytest.mark.full),
        pytest.param("cuda", torch.bfloat16, marks=pytest.mark.gpu),
        pytest.param("cuda", torch.float16, marks=pytest.mark.gpu),
    ],
)
def test_half_precision_sees_the_same_class(shared: Path, truth: Path, device: str, dtype: torch.dtype) -> None:
    module = TorchNet(zoo.build("googlenet"))
    module.load(load_weights(shared / "models/bvlc_googlenet.caffemodel").layers, "real")
    module.to(pick_device(device), dtype)
    ten = np.load(truth / "real/googlenet_probs.npz")
    with torch.inference_mode():
        found = module(torch.from_numpy(ten["inputs"]).to(device, dtype))["prob"].float().cpu().numpy()
    assert (found.argmax(1) == ten["probs"].argmax(1)).all()


@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.full), DEVICES[1]])
def test_dream_and_classify_without_anything_fetched(device: str) -> None:
    """On the bundled network and photograph: what a fresh clone has."""
    model, cat = bundled(), load_image(ROOT / "scripts/pictures/chelsea.png")
    settings = Settings(octaves=2, iterations=8)
    done = dream(model, cat, settings, Computing(pick_device(device)))
    assert all(octave.last > 1.5 * octave.first for octave in done.octaves)
    assert done.picture.shape == cat.shape
    seen = classify(model, [cat, done.picture], device=device)
    assert [len(each) for each in seen] == [5, 5]
    assert sum(one.probability for one in seen[0]) <= 1.0001


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "off"), [("float32", 1e-3), ("fp16", 2e-2), ("bf16", 2e-2)])
@pytest.mark.parametrize("keys", [{}, {"ascent": "adam"}, {"normalise": "laplacian", "tv": 0.2}])
def test_a_recorded_step_is_the_plain_step(precision: str, off: float, keys: dict[str, object]) -> None:
    """One step from one picture: recorded, in a precision, against as it is in float32."""
    model, cat = bundled(), load_image(ROOT / "scripts/pictures/chelsea.png")
    settings = Settings.model_validate(keys)
    changes = []
    for computing in (Computing(pick_device("cuda"), "float32", fast=False), Computing("cuda", precision)):
        dreamer = Dreamer(model, settings, computing)
        data = dreamer.canvas.blob(cat)
        ascent = dreamer.ascent(data, 1.0, None)
        ascent.begin(data)
        told = ascent.step((7, -30))
        assert told.isfinite().all()
        changes.append(ascent.data - data)
    plain, recorded = changes
    assert (recorded - plain).norm() < (off if keys.get("ascent") != "adam" else 4 * off) * plain.norm()


@pytest.mark.gpu
def test_recorded_dreams_follow_each_other() -> None:
    """The second picture of a size replays the first one's recording, and a new jitter each step."""
    model, cat = bundled(), load_image(ROOT / "scripts/pictures/chelsea.png")
    settings, other = Settings(octaves=2, iterations=4), cat[::-1].copy()
    dreamer = Dreamer(model, settings, Computing(pick_device("cuda"), "float32"))
    dreamer.dream(cat)
    second = dreamer.dream(other)
    plain = dream(model, other, settings, Computing("cuda", "float32", fast=False))
    for one, wanted in zip(second.octaves, plain.octaves, strict=True):
        assert one.last == pytest.approx(wanted.last, rel=0.02)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "fp16"])
def test_pictures_dreamt_together_are_recorded_too(precision: str) -> None:
    """Each as it is dreamt alone, a last one of another number among them."""
    model, cat = bundled(), load_image(ROOT / "scripts/pictures/chelsea.png")[::2, ::2]
    dreamer = Dreamer(model, Settings(octaves=2, iterations=4), Computing(pick_device("cuda"), precision))
    pictures = [cat, cat[::-1].copy(), cat // 3]
    together = [*dreamer.dream_together(pictures[:2]), *dreamer.dream_together(pictures[2:])]
    for picture, found in zip(pictures, together, strict=True):
        for one, wanted in zip(found.octaves, dreamer.dream(picture).octaves, strict=True):
            assert one.last == pytest.approx(wanted.last, rel=0.02)
