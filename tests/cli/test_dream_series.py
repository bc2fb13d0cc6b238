import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.command import refused, run
from tests.dream.tiny import save_waves, tiny_files
from trtdream.runtime.image import load_image, read_metadata


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def quick(tmp_path: Path) -> tuple[object, ...]:
    prototxt, weights = tiny_files(tmp_path)
    return "--net", prototxt, "--weights", weights, "--layer", "both", "--octaves", 2, "--iterations", 2


def test_a_folder(quick: tuple[object, ...]) -> None:
    save_waves(Path("in/sub/b.jpg"))
    save_waves(Path("in/a.png"), 30, 50)
    Path("in/c.png").write_bytes(b"nope")
    ran = run("dream", "in", *quick, "-o", "out")
    assert ran.code == 1
    assert "in/c.png" in ran.err
    assert "1 of 3 pictures failed" in ran.err
    assert load_image(Path("out/a.png")).shape == (30, 50, 3)
    assert load_image(Path("out/sub/b.jpg")).shape == (40, 48, 3)
    assert json.loads(read_metadata(Path("out/a.png"))["trtdream"])["source"] == "in/a.png"
    save_waves(Path("in/c.png"))
    ran = run("dream", "in", *quick, "-o", "out", "--json")  # goes on: the bad one is good now
    assert ran.code == 0, ran.err
    assert ran.document["failed"] == []
    refused(run("dream", "in", *quick, "-o", "out", "--seed", 5), 2, "another settings", "--force")
    assert run("dream", "in", *quick, "-o", "out", "--seed", 5, "--force").code == 0
    assert run("dream", "out/a.png", "--again", "-o", "again.png", *quick[:4]).code == 0


def test_a_zoom(quick: tuple[object, ...]) -> None:
    source = save_waves(Path("in.png"))
    ran = run("dream", source, *quick, "--zoom", 0.05, "--rotate", 2, "--frames", 3, "--fps", 10)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0] == "in_dream.gif"
    with Image.open("in_dream.gif") as film:
        assert (film.n_frames, film.info["duration"], film.size) == (3, 100, (48, 40))
        assert json.loads(film.info["comment"])["motion"]["zoom"] == 0.05
    assert not Path("in_dream.gif.frames").exists()
    assert run("dream", source, *quick, "--zoom", 0.05, "--frames", 2, "-o", "frames").code == 0
    assert sorted(path.name for path in Path("frames").iterdir()) == [
        "frame000001.png",
        "frame000002.png",
        "trtdream.json",
    ]
    refused(run("dream", "frames/frame000002.png", "--again", "-o", "x.png", *quick[:4]), 3, "of a film")


def test_frames_to_a_film_and_a_video(quick: tuple[object, ...]) -> None:
    clips = pytest.importorskip("tests.dream.film.clips")
    for index in (1, 2, 10):
        save_waves(Path(f"in/f{index}.png"), phase=index / 4)
    save_waves(Path("in/f3.png"), 20, 20)
    ran = run("dream", "in", *quick, "--blend", 0.5, "-o", "film.mp4")
    assert ran.code == 1
    assert "f3.png: is 20 x 20" in ran.err
    assert Path("film.mp4.frames/f10.png").exists()  # kept, to go on with once f3.png is right
    save_waves(Path("in/f3.png"), phase=0.75)
    assert run("dream", "in", *quick, "--blend", 0.5, "-o", "film.mp4", "--force").code == 0
    assert not Path("film.mp4.frames").exists()
    clip = clips.make_clip(Path("clip.mp4"), clips.grey_frames(4), sound=True)
    ran = run("dream", clip, *quick, "--flow")
    assert ran.code == 0, ran.err
    assert clips.sound_of(Path("clip_dream.mp4")) == clips.sound_of(clip)
    assert run("dream", "film.mp4", *quick, "-o", "moving.gif").code == 0
    assert run("dream", "moving.gif", *quick, "-o", "again.gif").code == 0
    with Image.open("again.gif") as film:
        assert film.n_frames == 4
    assert run("dream", "moving.gif", *quick, "-o", "still.png").code == 0
    ran = run("dream", clip, *quick, "-o", "clip.webm")
    assert "the sound (aac) is left out" in ran.err


def test_refusals(quick: tuple[object, ...]) -> None:
    source = save_waves(Path("in/a.png"))
    refused(run("dream", "in", *quick, "-o", "in/out"), 2, "lies in in")
    refused(run("dream", "in", *quick, "--zoom", 0.1), 2, "into one picture")
    refused(run("dream", source, *quick, "--blend", 0.5), 2, "--blend")
    refused(run("dream", source, *quick, "--fps", 12), 2, "--fps")
    refused(run("dream", "in", *quick, "--fps", 12, "-o", "out"), 2, "--fps", "film")
    refused(run("dream", source, *quick, "--zoom", 0.1, "-o", "film.xyz"), 2, ".xyz", "name a folder")
    refused(run("dream", source, *quick, "--size", 100), 2, "--again")
    refused(run("dream", "in", *quick, "--record"), 2, "--record")
    refused(run("dream", source, *quick, "--batch", 2), 2, "--batch")
    refused(run("dream", "in", *quick, "--batch", 2, "--blend", 0.5), 2, "--batch", "depend on each other")
    refused(run("dream", "in", *quick, "--batch", 2, "--memory", "1G"), 2, "--batch", "--memory")
    refused(run("dream", "gone.mp4", *quick), 2, "gone.mp4: no such file")
    Path("empty").mkdir()
    refused(run("dream", "empty", *quick), 2, "no picture in empty")
    Path("film.gif").write_bytes(b"mine")
    refused(run("dream", source, *quick, "--zoom", 0.1, "-o", "film.gif"), 2, "--force")
    pytest.importorskip("av", reason="PyAV is not installed (trtdream[video])")
    Path("no.mp4").write_bytes(b"no video at all")
    refused(run("dream", "no.mp4", *quick), 3, "no.mp4", "not a video")
    assert not Path("no_dream.mp4.frames").exists()


def test_all_frames_bad(quick: tuple[object, ...]) -> None:
    Path("in").mkdir()
    Path("in/a.png").write_bytes(b"nope")
    ran = run("dream", "in", *quick, "-o", "film.gif")
    refused(ran, 1, "not one frame")
