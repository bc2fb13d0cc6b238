import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.command import refused, run
from tests.dream.tiny import save_waves, tiny_files
from trtdream.dream.again import enlarged
from trtdream.runtime.image import load_image, read_metadata, save_image

SETTINGS = ("--layer", "both:0.7", "--octaves", 2, "--iterations", 3, "--seed", 7, "--step", 2)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_waves(Path("waves.png"))


@pytest.fixture
def net(tmp_path: Path) -> tuple[object, ...]:
    prototxt, weights = tiny_files(tmp_path)
    return "--net", prototxt, "--weights", weights


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_same_bytes(net: tuple[object, ...], ending: str) -> None:
    guided = ("--guide", save_waves(Path("guide.png"), phase=1.0))
    assert run("dream", "waves.png", *net, *SETTINGS, *guided, "-o", f"a.{ending}", "--record").code == 0
    assert run("dream", f"a.{ending}", "--again", *net, "-o", f"b.{ending}").code == 0
    assert Path(f"a.{ending}").read_bytes() == Path(f"b.{ending}").read_bytes()
    assert json.loads(Path(f"a.{ending}.json").read_text())["settings"]["seed"] == 7


def test_another_machines_precision(net: tuple[object, ...]) -> None:
    """A CPU makes a GPU's dream in float32."""
    assert run("dream", "waves.png", *net, *SETTINGS, "-o", "a.png").code == 0
    made_by = json.loads(read_metadata(Path("a.png"))["trtdream"])
    assert made_by["precision"] == "float32"
    picture = load_image(Path("a.png"))
    save_image(Path("gpu.png"), picture, {"trtdream": json.dumps({**made_by, "precision": "float16"})})
    assert run("dream", "gpu.png", "--again", *net, "--device", "cpu", "-o", "b.png").code == 0
    assert np.array_equal(load_image(Path("b.png")), picture)


def test_what_was_kept_beside_it(net: tuple[object, ...]) -> None:
    """Of an octave the dream it belongs to; a map of where it looks is no dream."""
    see = ("--explain", "heat.png", "--save-octaves", "octaves")
    assert run("dream", "waves.png", *net, *SETTINGS, "-o", "a.png", *see).code == 0
    (first, *_) = sorted(Path("octaves").iterdir())
    assert run("dream", first, "--again", *net, "-o", "b.png").code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    refused(run("dream", "heat.png", "--again", *net, "-o", "c.png"), 3, "heat.png: is no dream", "--explain")


def test_larger_has_the_forms_of_the_smaller(net: tuple[object, ...]) -> None:
    run("dream", "waves.png", *net, *SETTINGS, "-o", "a.png")
    ran = run("dream", "a.png", "--again", "--size", 96, *net, "-o", "b.png", "--json")
    assert ran.code == 0, ran.err
    sizes = [tuple(octave["size"]) for octave in ran.document["octaves"]]
    assert sizes[:2] == [(29, 34), (40, 48)]
    assert sizes[-1] == (80, 96)
    large = load_image(Path("b.png"))
    assert large.shape == (80, 96, 3)
    before = enlarged(load_image(Path("waves.png")), 96)
    small = enlarged(load_image(Path("a.png")), 96)
    changes = [(each.astype(float) - before).ravel() for each in (large, small)]
    assert np.corrcoef(changes)[0, 1] > 0.5


def test_the_source_is_found_by_its_hash(net: tuple[object, ...], tmp_path: Path) -> None:
    run("dream", "waves.png", *net, *SETTINGS, "-o", "a.png")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move("waves.png", elsewhere / "renamed.png")
    shutil.copy("a.png", elsewhere / "a.png")
    assert run("dream", elsewhere / "a.png", "--again", *net, "-o", "b.png").code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    refused(run("dream", "a.png", "--again", *net, "-o", "c.png"), 3, "source waves.png", "not there")
    save_waves(Path("waves.png"), phase=2.0)
    refused(run("dream", "a.png", "--again", *net, "-o", "c.png"), 3, "waves.png: is not the source", "sha256")


def test_other_weights_are_refused(net: tuple[object, ...], tmp_path: Path) -> None:
    run("dream", "waves.png", *net, *SETTINGS, "-o", "a.png")
    weights = net[3]
    assert isinstance(weights, Path)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    (tmp_path / "other.safetensors").write_bytes(content)
    ran = run("dream", "a.png", "--again", *net[:2], "--weights", tmp_path / "other.safetensors", "-o", "b.png")
    refused(ran, 3, "a.png: was made by tiny", "--weights")


def test_pictures_that_say_nothing(net: tuple[object, ...]) -> None:
    refused(run("dream", "waves.png", "--again", *net, "-o", "b.png"), 3, "carries no record")
    run("dream", "waves.png", *net, *SETTINGS, "-o", "a.png")
    made_by = json.loads(read_metadata(Path("a.png"))["trtdream"])
    made_by["settings"]["sparkle"] = 3
    save_image(Path("c.png"), load_image(Path("a.png")), {"trtdream": json.dumps(made_by)})
    refused(run("dream", "c.png", "--again", *net, "-o", "b.png"), 3, "none of this version's", "sparkle")


def test_the_making(net: tuple[object, ...]) -> None:
    assert run("dream", "waves.png", *net, *SETTINGS, "-o", "a.png", "--gif-of-the-making", "m.gif").code == 0
    with Image.open("m.gif") as film:
        assert film.size == (48, 40)
        assert film.n_frames >= 6
    refused(run("dream", "waves.png", *net, *SETTINGS, "-o", "b.png", "--gif-of-the-making", "m.gif"), 2, "m.gif")
