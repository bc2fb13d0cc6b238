import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.command import refused, run
from trtdream.runtime.image import load_image, read_metadata

QUICK = ("--octaves", "2", "--iterations", "2")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A small picture with something in it."""
    rows, columns = np.mgrid[0:96, 0:128]
    rgb = np.stack([rows * 2, columns, 128 + 100 * np.sin(columns / 5)], -1)
    path = tmp_path / "waves.png"
    Image.fromarray(rgb.astype(np.uint8)).save(path)
    return path


@pytest.fixture(autouse=True)
def bundled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without weights fetched, the network that comes with the package dreams."""
    monkeypatch.setenv("TRTDREAM_OFFLINE", "1")
    monkeypatch.setenv("TRTDREAM_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TRTDREAM_WEIGHTS", raising=False)


def test_dream(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "dream.png"
    ran = run("dream", picture, "--layer", "68", "-o", out, "--octaves", "2", "--iterations", "8", "--json")
    assert ran.code == 0, ran.err
    assert "0068 inception_4c/output" in ran.err
    assert ran.document["layers"] == [{"index": 68, "value": "inception_4c/output", "weight": 1.0}]
    dreamt, before = load_image(out), load_image(picture)
    assert dreamt.shape == before.shape
    assert 2 < np.abs(dreamt.astype(int) - before).mean() < 60
    for octave in ran.document["octaves"]:
        assert octave["last"] > octave["first"]
    assert ran.document["weights_sha256"] in read_metadata(out)["trtdream"]


def test_same_seed_same_bytes(picture: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        run("dream", picture, "-o", tmp_path / f"{name}.png", *QUICK, "--seed", seed)
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_a_convolution_means_its_value_before_the_relu(picture: Path, tmp_path: Path) -> None:
    values = [
        run("dream", picture, "--layer", layer, "-o", tmp_path / f"{i}.png", *QUICK, "--json").document["layers"]
        for i, layer in enumerate(("12", "inception_3a/1x1", "inception_3a/relu_1x1"))
    ]
    before, behind = "inception_3a/1x1@inception_3a/1x1", "inception_3a/1x1"
    assert [value[0]["value"] for value in values] == [before, before, behind]


def test_layers_channels_and_a_guide_change_the_dream(picture: Path, tmp_path: Path) -> None:
    ways = (
        (),
        ("--layer", "68", "--layer", "inception_3b/output:0.5"),
        ("--layer", "68", "--channel", "7-8"),
        ("--layer", "inception_3b/output", "--guide", picture),
    )
    for index, way in enumerate(ways):
        ran = run("dream", picture, "-o", tmp_path / f"{index}.png", *QUICK, *way)
        assert ran.code == 0, ran.err
    assert len({(tmp_path / f"{index}.png").read_bytes() for index in range(len(ways))}) == len(ways)
    refused(run("dream", picture, "-o", tmp_path / "x.png", *ways[2], "--guide", picture), 2, "--guide")
    refused(run("dream", picture, "-o", tmp_path / "x.png", "--channel", "512"), 2, "channel 512", "0 to 511")


def test_what_there_is_to_see(picture: Path, tmp_path: Path) -> None:
    out, heat, octaves, preview = (tmp_path / name for name in ("out.png", "heat.png", "octaves", "now.jpg"))
    see = ("--classify", "--explain", heat, "--save-octaves", octaves, "--preview", preview)
    ran = run("dream", picture, "-o", out, *QUICK, *see, "--preset", "subtle", "--tile", "64", "octave_scale=1.3")
    assert ran.code == 0, ran.err
    for when in ("before", "98 x 74", "128 x 96", "after"):
        assert f"{when}: n0" in ran.err, ran.err
    assert [path.name for path in sorted(octaves.iterdir())] == ["octave_0_98x74.png", "octave_1_128x96.png"]
    assert load_image(heat).shape == load_image(preview).shape == (96, 128, 3)
    made = read_metadata(out)
    assert all(read_metadata(path) == made for path in (preview, *octaves.iterdir()))
    assert json.loads(read_metadata(heat)["trtdream"]) == {**json.loads(made["trtdream"]), "shows": "explain"}
    refused(run("dream", picture, "-o", tmp_path / "b.png", *QUICK, "--save-octaves", octaves), 2, "--force")


def test_classes_and_guides_of_any_kind(picture: Path, tmp_path: Path) -> None:
    ran = run("dream", picture, "-o", tmp_path / "a.png", "--class", "golf ball:2", "--octave-size", "260x230", *QUICK)
    assert ran.code == 0, ran.err
    assert "class 8 n03445777 golf ball, weight 2" in ran.err
    assert load_image(tmp_path / "a.png").shape == (230, 260, 3)
    guide = tmp_path / "guide.png"
    for mode in ("RGBA", "L"):
        Image.open(picture).convert(mode).resize((77, 50)).save(guide)
        ran = run("dream", picture, "-o", tmp_path / f"{mode}.png", "--guide", guide, "--octaves", "1", *QUICK[2:])
        assert ran.code == 0, ran.err


def test_options_that_cannot_be(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    refused(run("dream", picture, "-o", out, "--class", "whale"), 2, "class 'whale'")
    refused(
        run("dream", picture, "-o", out, "--layer", "prob", "--tile", "64"), 2, "cannot be tiled", "loss3/classifier"
    )
    refused(run("dream", picture, "-o", out, "--memory", "10M"), 1, "smallest tiles")
    refused(run("dream", picture, "-o", out, "--precision", "fp16", "--device", "cpu"), 2, "GPU")
    refused(run("dream", picture, "-o", out, "--preset", "classik"), 2, "classic")
    refused(run("dream", picture, "-o", out, "--feather", "3"), 2, "mask")
    refused(run("dream", picture, "-o", out, "--at", "0.5"), 2, "--layers")
    assert not out.exists()


def test_octaves_too_small_are_left_out(picture: Path, tmp_path: Path) -> None:
    ran = run("dream", picture, "-o", tmp_path / "a.png", "--octaves", "12", "--iterations", "1", "--json")
    assert ran.code == 0, ran.err
    assert "left out" in ran.err
    assert 0 < len(ran.document["octaves"]) < 12


def test_refusals(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    refused(run("dream", picture, "-o", out, "--layer", "121"), 2, "121", "0 to 120")
    refused(run("dream", picture, "-o", out, "--layer", "inception_4c/outptu"), 2, "inception_4c/output")
    refused(run("dream", picture, "-o", tmp_path / "out.xyz"), 2, ".xyz")
    refused(run("dream", picture, "-o", out, "--octaves", "0"), 2, "--octaves")
    refused(run("dream", picture, "-o", out, "--octave-scale", "1"), 2, "--octave-scale")
    (tmp_path / "no.png").write_bytes(b"no")
    refused(run("dream", tmp_path / "no.png", "-o", out), 3, "no.png")
    Image.new("RGB", (9, 9)).save(tmp_path / "small.png")
    refused(run("dream", tmp_path / "small.png", "-o", out, "--layer", "pool5/7x7_s1"), 3, "too small")
    refused(run("dream", tmp_path / "small.png", "-o", out, "--device", "tpu"), 2, "--device tpu")
    assert not out.exists()
    out.write_bytes(b"mine")
    refused(run("dream", picture, "-o", out), 2, "--force")
    assert out.read_bytes() == b"mine"
