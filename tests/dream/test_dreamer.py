"""Whole dreams by the small network that comes with the package."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trtdream.dream.computing import Computing, parse_memory
from trtdream.dream.dream import dream
from trtdream.dream.dreamer import Dreamer
from trtdream.dream.memory import bytes_held, bytes_needed, pick_tile
from trtdream.dream.objectives import l2
from trtdream.dream.tiles import Tiling
from trtdream.dream.watch import Moment, Octave, Watch
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.recipe.dream_schema import ClassScore, Layer, Settings
from trtdream.runtime.classify import classify
from trtdream.runtime.image import load_image
from trtdream.runtime.model import Model
from trtdream.runtime.open_model import bundled, open_model

CHELSEA = Path(__file__).resolve().parents[2] / "scripts/pictures/chelsea.png"
QUICK = {"octaves": 2, "iterations": 2}


@pytest.fixture(scope="module")
def model() -> Model:
    return bundled()


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return load_image(CHELSEA)[60:209, 100:301]  # odd sides


@pytest.mark.full
def test_tiled_dreams_reach_the_same(model: Model, cat: np.ndarray) -> None:
    """A whole dream in tiles: the objectives within 2 %, and the same picture to the eye."""
    settings = Settings(layers=(Layer(name="inception_3b/output"),), octaves=2, iterations=3)
    whole, tiled = (dream(model, cat, settings, Computing(tile=tile)) for tile in (0, 96))
    for one, other in zip(whole.octaves, tiled.octaves, strict=True):
        assert other.last == pytest.approx(one.last, rel=0.02)
    assert np.abs(whole.picture.astype(int) - tiled.picture).mean() < 1


def test_a_class_grows(model: Model, cat: np.ndarray) -> None:
    """Its score is the network's own at the network's own size, and rises in the dream."""
    square = np.array(Image.fromarray(cat).resize((224, 224)))
    settings = Settings(classes=(ClassScore(name="golf ball"),), octaves=1, iterations=4, step=3, jitter=0)
    done = dream(model, square, settings)
    with torch.no_grad():
        data = Dreamer(model, Settings()).canvas.blob(square)
        scores = model.module()(data, ["loss3/classifier"])["loss3/classifier"]
    assert done.octaves[0].first == pytest.approx(scores[0, 8].item(), rel=1e-4)
    assert done.octaves[0].last > done.octaves[0].first + 3
    (seen,) = classify(model, [done.picture], 1)
    assert seen[0].label.endswith("golf ball")
    for name, words in (("church", ""), ("9", ""), ("saw", ""), ("pump", ""), ("whale", "none"), ("10", "0 to 9")):
        choice = Settings(classes=(ClassScore(name=name),))
        if words:
            with pytest.raises(UsageError, match=words):
                Dreamer(model, choice)
        else:
            Dreamer(model, choice)


def test_a_guide_dream_follows_the_formula(model: Model, cat: np.ndarray) -> None:
    """The gradient against the formula written out in float64, through the network in float64."""
    value = "inception_3b/output"
    dreamer = Dreamer(model, Settings(layers=(Layer(name=value),), guide=CHELSEA))
    data = dreamer.canvas.blob(cat)
    _, gradient = dreamer._engine(data)
    module = model.module([value]).double()
    theirs = module(dreamer.canvas.blob(load_image(CHELSEA)).double(), [value])[value][0].flatten(1)  # C x places
    seen = data.double().requires_grad_()
    ours = module(seen, [value])[value]
    products = ours[0].flatten(1).t() @ theirs
    best = theirs[:, products.argmax(1)].reshape(ours[0].shape)
    (wanted,) = torch.autograd.grad(ours, seen, best[None].detach())
    assert (gradient - wanted).norm() < 1e-2 * wanted.norm()


def test_mask_and_colours(model: Model, cat: np.ndarray, tmp_path: Path) -> None:
    half = np.zeros((40, 60), np.uint8)
    half[:, :30] = 255
    Image.fromarray(half).save(tmp_path / "mask.png")
    notes: list[str] = []
    settings = Settings(mask=tmp_path / "mask.png", keep_colours=True, step=8, **QUICK)
    done = dream(model, cat, settings, watch=Watch(on_note=notes.append))
    assert notes == ["the mask is 60 x 40: resized to the picture's 201 x 149"]
    changed = np.abs(done.picture.astype(int) - cat).max(2)
    assert not changed[:, 104:].any() and changed[:, :96].mean() > 5
    before, after = (np.asarray(Image.fromarray(each).convert("YCbCr"), int)[..., 1:] for each in (cat, done.picture))
    assert np.abs(before - after).mean() < 3  # less only where black or white leave colour no room


@pytest.mark.parametrize("keys", [{"guide": CHELSEA}, {"keep_colours": True, "normalise": "rms"}])
def test_pictures_dreamt_together_are_each_as_alone(model: Model, cat: np.ndarray, keys: dict[str, object]) -> None:
    """The step's change within 2e-3, the objectives within a hundredth; their gradients differ in strength."""
    settings = Settings(layers=(Layer(name="inception_3b/output"),), iterations=1, octaves=2, step=20, **keys)
    dreamer = Dreamer(model, settings)
    pictures = [cat, cat[::-1] // 3]
    blobs = torch.cat([dreamer.canvas.blob(picture) for picture in pictures])
    scores, gradient = dreamer._engine(blobs)
    for place, picture in enumerate(pictures):
        score, alone = dreamer._engine(dreamer.canvas.blob(picture))
        assert scores[place].item() == pytest.approx(score.item(), rel=1e-4)
        assert (gradient[place] - alone[0]).norm() < 2e-3 * alone.norm()
    for picture, together in zip(pictures, dreamer.dream_together(pictures), strict=True):
        alone = dreamer.dream(picture)
        assert np.abs(together.picture.astype(int) - alone.picture).mean() < 0.1
        for one, other in zip(together.octaves, alone.octaves, strict=True):
            assert one.last == pytest.approx(other.last, rel=1e-2)


HALVES = {"float16": 2e-2, "bfloat16": 2e-2}
"""How far a step's gradient may be from float32's, as relative L2: measured 0.001 and 0.009."""


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("tile", [0, 64])
def test_half_precision(model: Model, cat: np.ndarray, half: str, tile: int) -> None:
    """The same objective, and nearly the same gradient; on the CPU, slowly, for its numbers."""
    dreamer = Dreamer(model, Settings(layers=(Layer(name="inception_3b/output"),)), Computing(tile=tile))
    _compare_with_half(dreamer, cat[:113, :130], half)


@pytest.mark.full
@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("layer", ["68", "inception_5b/output"])
def test_half_precision_on_photographs(shared: Path, half: str, layer: str) -> None:
    real = open_model("googlenet", shared / "models/bvlc_googlenet.caffemodel")
    dreamer = Dreamer(real, Settings(layers=(Layer(name=layer),)))
    for name in (
        "caffe_bsd/cat.jpg",
        "deepdream_ccbysa/sky1024px.jpg",
        "skimage_cc0/coffee.png",
        "sklearn_ccby/china.jpg",
    ):
        small = Image.fromarray(load_image(shared / "images" / name)).resize((320, 240))
        _compare_with_half(dreamer, np.array(small), half)


def _compare_with_half(dreamer: Dreamer, picture: np.ndarray, half: str) -> None:
    data, forms = dreamer.canvas.blob(picture), dreamer.module.forms
    score, wanted = dreamer._engine(data)
    dreamer.module.forms = replace(forms, gradients=half)
    half_score, found = dreamer._engine(data)
    dreamer.module.forms = forms
    assert half_score.item() == pytest.approx(score.item(), rel=1e-6)
    assert found.dtype is torch.float32 and not torch.equal(found, wanted)
    assert (found - wanted).norm() < HALVES[half] * wanted.norm()


def test_which_precision_is_chosen() -> None:
    """A GPU's matrix units are for halves; a dream held to numbers is float32 there too, unless asked otherwise."""
    chosen = [Computing("cuda").gradients(exactly) for exactly in (False, True)]
    assert chosen == ["float16", ""] and Computing().gradients() == "" == Computing("cuda", "float32").gradients()
    assert Computing("cuda", "bf16").gradients(exactly=True) == "bfloat16" == Computing(precision="bf16").gradients()


def test_what_is_told(model: Model, cat: np.ndarray) -> None:
    moments: list[Moment] = []
    octaves: list[tuple[Octave, np.ndarray]] = []
    settings = Settings(sizes=((90, 120), (149, 201)), iterations=2)
    done = dream(model, cat, settings, watch=Watch(moments.append, lambda *told: octaves.append(told)))
    assert [(each.octave, each.iteration) for each in moments] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [picture.shape for _, picture in octaves] == [(90, 120, 3), (149, 201, 3)]
    assert np.array_equal(octaves[-1][1], done.picture)
    assert np.array_equal(moments[-1].picture(), done.picture)


def test_an_interrupt_keeps_the_work(model: Model, cat: np.ndarray) -> None:
    def stop(moment: Moment) -> None:
        if (moment.octave, moment.iteration) == (1, 0):
            raise KeyboardInterrupt

    done = dream(model, cat, Settings(octaves=3, iterations=2), watch=Watch(on_step=stop))
    assert done.interrupted and len(done.octaves) == 1
    assert done.picture.shape == cat.shape and (done.picture != cat).any()


def test_no_answer_and_no_number(model: Model, cat: np.ndarray) -> None:
    """A layer that is silent is named, with a hint; weights that overflow end the dream with the picture kept."""
    far = Settings(layers=(Layer(name="inception_4c/output", weight=0.0),), **QUICK)
    with pytest.raises(InputRefused, match="does not answer"):
        dream(model, cat, far)
    done = dream(model, cat, Settings(layers=(Layer(name="conv2/3x3", weight=1e38),), **QUICK))
    assert "no number" in done.stopped
    assert np.array_equal(done.picture, cat)


def test_memory(model: Model) -> None:
    """The tile that is picked fits, the next larger one does not."""
    objective, size = l2("inception_4c/output"), (2000, 3000)
    held, memory = bytes_held(size, Settings()), parse_memory("1.5G")
    tile = pick_tile(model.graph, objective, size, held, memory)
    assert tile and tile % 16 == 0
    halo = Tiling.of(model.graph, objective).halo
    pieces = [(each + halo[0], each + halo[1]) for each in (tile, tile + 16)]
    needed = [bytes_needed(model.graph, objective, piece, held) for piece in pieces]
    assert needed[0] <= memory < needed[1]
    assert pick_tile(model.graph, objective, size, held, 64 * memory) == 0
    with pytest.raises(TrtdreamError, match="smallest tiles"):
        pick_tile(model.graph, objective, size, held, memory // 4)
    with pytest.raises(UsageError, match="--memory 4X"):
        parse_memory("4X")


OUT_OF_MEMORY = """
import resource, numpy as np
from trtdream.dream.dream import dream
from trtdream.dream.watch import Watch
from trtdream.recipe.dream_schema import Settings
from trtdream.runtime.open_model import bundled, open_model
model, settings = bundled(), Settings(layers=["conv1/7x7_s2"], octaves=1, iterations=1)
rng = np.random.default_rng(0)
dream(model, rng.integers(0, 255, (96, 96, 3), dtype=np.uint8), settings)
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 320 * 2**20,) * 2)
picture = rng.integers(0, 255, (1200, 1600, 3), dtype=np.uint8)
done = dream(model, picture, settings, watch=Watch(on_note=print))
print(done.picture.shape, bool((done.picture != picture).any()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits its memory by Linux's means")
def test_where_memory_ends_tiles_go_on() -> None:
    run = [sys.executable, "-c", OUT_OF_MEMORY]
    done = subprocess.run(run, capture_output=True, text=True, check=False, env={"OMP_NUM_THREADS": "1"})
    assert done.stdout.count("out of memory") == 1, done.stderr[-2000:]
    assert "(1200, 1600, 3) True" in done.stdout
