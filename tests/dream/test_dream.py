import json
from pathlib import Path

import numpy as np
import pytest
import torch

from trtdream.caffe.prototxt import read_prototxt
from trtdream.dream.ascent import Ascent, Bounds
from trtdream.dream.dream import dream
from trtdream.dream.engine import WholeEngine
from trtdream.dream.objectives import l2
from trtdream.dream.octaves import octave_sizes, zoom
from trtdream.net.torch_module import TorchNet
from trtdream.recipe.dream_schema import Layer, Settings
from trtdream.runtime.image import load_image
from trtdream.runtime.open_model import open_model
from trtdream.weights.weights import load_weights

NOTEBOOK_MEAN = np.array([104, 116, 122], np.float32)


def test_first_steps_are_caffes(truth: Path) -> None:
    """The notebook's step through real Caffe, each from Caffe's picture: one max pool's switch, and all that follows
    differs."""
    nets = truth / "nets"
    told = np.load(nets / "googlenet_dream_steps.npz")
    module = TorchNet(read_prototxt(nets / "googlenet_deploy_b1.prototxt"))
    module.load(load_weights(nets / "bvlc_googlenet_random_seed1234.caffemodel").layers, "truth")
    module.requires_grad_(False)
    mean = torch.from_numpy(NOTEBOOK_MEAN).reshape(1, 3, 1, 1)
    engine = WholeEngine(module, l2("inception_4c/output"))
    start = torch.from_numpy(np.load(nets / "googlenet_input.npy"))
    ascent = Ascent(engine, start, Settings(), 1.5, Bounds(-mean, 255 - mean))
    before = start.numpy()
    for count, (right, down) in enumerate(told["jitters"][:2], start=1):
        ascent.begin(torch.from_numpy(before))
        ascent.step((int(right), int(down)))
        after = told[f"after_step{count}"]
        off = np.linalg.norm(ascent.data.numpy() - after) / np.linalg.norm(after - before)
        assert off < 1e-2, count
        before = after


@pytest.mark.full
def test_reference_dream(shared: Path) -> None:
    """The sky with the classic parameters: the objective each octave reaches, against an independent run."""
    told = json.loads((shared / "models/dream_sky1024_inception_4c_seed0.json").read_text())
    model = open_model("googlenet", shared / "models/bvlc_googlenet.caffemodel")
    done = dream(model, load_image(shared / "images/deepdream_ccbysa/sky1024px.jpg"), Settings(classic=True))
    reached = {f"{o.size[0]}x{o.size[1]}": o.last for o in done.octaves}
    assert reached == pytest.approx(told["objective_half_l2_at_last_step_per_octave"], rel=0.05)


def test_octaves_of_the_notebook() -> None:
    assert octave_sizes((575, 1024), 4, 1.4) == [(210, 373), (294, 522), (411, 731), (575, 1024)]


def test_zoom_puts_corners_on_corners() -> None:
    """A ramp stays the same ramp between its ends, as with scipy.ndimage.zoom of order 1."""
    ramp = torch.linspace(0, 9, 10).expand(1, 1, 4, 10)
    wider = zoom(ramp, (4, 28))
    torch.testing.assert_close(wider[0, 0, 0], torch.linspace(0, 9, 28))
    torch.testing.assert_close(zoom(wider, (4, 10)), ramp.contiguous())


def test_bounds_hold(shared: Path) -> None:
    """No step leaves black and white: a huge one ends on them."""
    model = open_model("googlenet", shared / "models/bvlc_googlenet.caffemodel")
    picture = load_image(shared / "images/caffe_bsd/cat.jpg")[:120, :120]
    done = dream(model, picture, Settings(layers=(Layer(name="pool2/3x3_s2"),), octaves=1, iterations=2, step=900))
    assert done.picture.min() == 0
    assert done.picture.max() == 255
