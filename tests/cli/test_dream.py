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
        ("--layer", "68", "--channel", "7", "--channel", "8"),
        ("--layer", "inception_3b/output", "--guide", picture),
    )
    for index, way in enumerate(ways):
        ran = run("dream", picture, "-o", tmp_path / f"{index}.png", *QUICK, *way)
        assert ran.code == 0, ran.err
    assert len({(tmp_path / f"{index}.png").read_bytes() for index in range(len(ways))}) == len(ways)
    refused(run("dream", picture, "-o", tmp_path / "x.png", *ways[2], "--guide", picture), 2, "--guide")
    refused(run("dream", picture, "-o", tmp_path / "x.png", "--channel", "512"), 2, "channel 512", "0 to 511")


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
