import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.command import refused, run
from tests.dream.tiny import tiny_files
from trtdream.runtime.image import load_image, read_metadata

QUICK = ("--size", 32, "--steps", 5)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def net(tmp_path: Path) -> tuple[object, ...]:
    prototxt, weights = tiny_files(tmp_path)
    return "--net", prototxt, "--weights", weights


def test_visualize(net: tuple[object, ...]) -> None:
    ran = run("visualize", *net, "--layer", "both", "--channel", 1, *QUICK, "--json")
    assert ran.code == 0, ran.err
    assert ran.document["picture"] == "tiny_both_1.png"
    assert ran.document["value"] == "both"
    assert len(ran.document["last"]) == 1
    assert load_image(Path("tiny_both_1.png")).shape == (32, 32, 3)
    made_by = json.loads(read_metadata(Path("tiny_both_1.png"))["trtdream"])
    assert made_by["units"] == [{"value": "both", "channel": 1, "at": None}]
    assert made_by["weights_sha256"] == ran.document["weights_sha256"]


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_several_channels_are_one_sheet(net: tuple[object, ...], ending: str) -> None:
    assert run("visualize", *net, "--layer", "both", "--channel", "0-2", *QUICK, "-o", f"s.{ending}").code == 0
    with Image.open(f"s.{ending}") as sheet:
        assert sheet.size == (2 * 38 + 6, 2 * 52 + 6)
    assert run("dream", f"s.{ending}", "--again", "-o", f"t.{ending}", *net).code == 0
    assert Path(f"s.{ending}").read_bytes() == Path(f"t.{ending}").read_bytes()


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_made_again(net: tuple[object, ...], ending: str) -> None:
    asked = ("--layer", "both", "--channel", 1, "--neuron", "0.5,0.2", "--seed", 3)
    assert run("visualize", *net, *asked, *QUICK, "-o", f"a.{ending}").code == 0
    assert run("dream", f"a.{ending}", "--again", "-o", f"b.{ending}", "--weights", net[3], "--net", net[1]).code == 0
    assert Path(f"a.{ending}").read_bytes() == Path(f"b.{ending}").read_bytes()
    assert run("dream", f"a.{ending}", "--again", "--size", 48, "-o", "c.png", *net).code == 0
    assert load_image(Path("c.png")).shape == (48, 48, 3)


def test_atlas(net: tuple[object, ...]) -> None:
    ran = run("atlas", *net, *QUICK)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[:2] == ["tiny_layers_atlas.png", "tiny_layers_atlas.html"]
    assert "both" in Path("tiny_layers_atlas.html").read_text()
    ran = run("atlas", *net, "--layer", "both", "--channel", "0,4", *QUICK, "-o", "two.html", "--json")
    assert [plate["title"] for plate in ran.document["plates"]] == ["0", "4"]
    refused(run("dream", "two.png", "--again", "-o", "x.png", *net), 3, "is an atlas")


def test_refusals(net: tuple[object, ...]) -> None:
    refused(run("visualize", *net, "--layer", "both", "--channel", 6, *QUICK), 2, "channel 6", "0 to 5")
    refused(run("visualize", *net, "--layer", "bith", *QUICK), 2, "both")
    refused(run("visualize", *net, "--layer", "both", "--neuron", "0.5,0.5", *QUICK), 2, "--channel")
    refused(run("visualize", *net, "--layer", "both", "--channel", 1, "--neuron", "middle"), 2, "X,Y")
    refused(run("visualize", *net, "--size", 3), 2, "--size 3")
    refused(run("visualize", *net, "-o", "a.xyz"), 2, ".xyz")
    refused(run("atlas", *net, "--channel", "0-3"), 2, "--layer")
    refused(run("atlas", *net, "--layer", "both", "--channel", "0-9", *QUICK), 2, "channel 6", "0 to 5")
    Path("mine.png").write_bytes(b"mine")
    refused(run("visualize", *net, "-o", "mine.png", "--layer", "both"), 2, "--force")
    refused(run("atlas", *net, "-o", "mine"), 2, "--force")
