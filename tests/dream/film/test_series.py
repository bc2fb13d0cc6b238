from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.dream.tiny import RED, save_waves
from trtdream.dream.dreamer import Dreamer
from trtdream.dream.film.blend import Blending
from trtdream.dream.film.frames import Frame, folder_frames
from trtdream.dream.film.series import Dreaming, Series, Told, finished
from trtdream.dream.film.work import Work
from trtdream.dream.film.zoom import Motion, loop_frames
from trtdream.errors import TrtdreamError
from trtdream.recipe.dream_schema import Layer, Settings
from trtdream.runtime.image import load_image
from trtdream.runtime.model import Model


@pytest.fixture(scope="module")
def dreamer(tiny: Model) -> Dreamer:
    return Dreamer(tiny, Settings(layers=(Layer(name="both"),), octaves=2, iterations=2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in (1, 2, 10):
        save_waves(tmp_path / "in" / f"f{index}.png", phase=index / 4)
    return tmp_path / "in"


def run(dreamer: Dreamer, work: Work, frames: list[Frame], film: Blending | None = None, **told: Callable) -> Series:
    work.begin()
    return Dreaming(dreamer, work, lambda frame: {"of": frame.name}, film, Told(**told)).run(frames)


def contents(work: Work) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(work.folder.iterdir())}


def test_natural_order_and_a_bad_picture(dreamer: Dreamer, folder: Path, tmp_path: Path) -> None:
    (folder / "f3.png").write_bytes(b"nope")
    save_waves(folder / "f4.png", 30, 30)
    work = Work(tmp_path / "out", {})
    series = run(dreamer, work, folder_frames(folder))
    assert series.names == ("f1.png", "f2.png", "f3.png", "f4.png", "f10.png")
    assert [failed.name for failed in series.failed] == ["f3.png"]
    assert load_image(work.path("f4.png")).shape == (30, 30, 3)
    for name in ("f1.png", "f10.png"):
        assert (load_image(work.path(name)) != load_image(folder / name)).any()


def test_a_film_has_one_size(dreamer: Dreamer, folder: Path, tmp_path: Path) -> None:
    save_waves(folder / "f4.png", 30, 30)
    work = Work(tmp_path / "out", {})
    series = run(dreamer, work, folder_frames(folder), Blending())
    (failed,) = series.failed
    assert "f4.png: is 30 x 30" in failed.reason
    assert "48 x 40" in failed.reason
    shown = [path.name for path in finished(series, work)]
    assert shown == ["f1.png", "f2.png", "f2.png", "f10.png"]  # the one before stands in


def test_left_and_gone_on_with_is_never_left(dreamer: Dreamer, folder: Path, tmp_path: Path) -> None:
    """With every frame blended with the dream before it, byte for byte."""
    whole, parts = Work(tmp_path / "whole", {}), Work(tmp_path / "parts", {})
    run(dreamer, whole, folder_frames(folder), Blending(0.5))
    begun: list[str] = []

    def stop(name: str) -> None:
        begun.append(name)
        if name == "f10.png":
            raise KeyboardInterrupt

    left = run(dreamer, parts, folder_frames(folder), Blending(0.5), on_frame=stop)
    assert left.interrupted
    assert [name for name in left.names if parts.done(name)] == ["f1.png", "f2.png"]
    begun.clear()
    run(dreamer, parts, folder_frames(folder), Blending(0.5), on_frame=begun.append)
    assert begun == ["f10.png"]
    assert contents(parts) == contents(whole)


def test_a_batch_is_the_pictures_alone(dreamer: Dreamer, folder: Path, tmp_path: Path) -> None:
    """Sizes mixed, one that cannot be read, one that no layer answers to: each ends as it does alone."""
    save_waves(folder / "f3.png", 40, 48)
    (folder / "f4.png").write_bytes(b"nope")
    save_waves(folder / "f5.png", 30, 30)
    Image.new("RGB", (48, 40), "blue").save(folder / "f6.png")
    alone, batch = Work(tmp_path / "alone", {}), Work(tmp_path / "batch", {})
    red = Dreamer(dreamer.model, Settings(layers=(Layer(name="relu", channels=(RED,)),), octaves=2, iterations=2))
    told: list[str] = []
    one = run(red, alone, folder_frames(folder))
    batch.begin()
    frames = folder_frames(folder)
    other = Dreaming(red, batch, lambda frame: {"of": frame.name}, told=Told(on_done=told.append), batch=3).run(frames)
    assert one == replace(other, failed=one.failed) and set(one.failed) == set(other.failed)
    assert [failed.name for failed in one.failed] == ["f4.png", "f6.png"]
    assert sorted(told) == sorted(frame.name for frame in frames)
    for name in ("f1.png", "f2.png", "f3.png", "f5.png", "f10.png"):
        assert np.abs(load_image(alone.path(name)).astype(int) - load_image(batch.path(name))).max() <= 1


def test_blending_changes_what_follows(dreamer: Dreamer, folder: Path, tmp_path: Path) -> None:
    plain, mixed = Work(tmp_path / "plain", {}), Work(tmp_path / "mixed", {})
    run(dreamer, plain, folder_frames(folder), Blending())
    run(dreamer, mixed, folder_frames(folder), Blending(0.5))
    same = [bool((load_image(plain.path(n)) == load_image(mixed.path(n))).all()) for n in ("f1.png", "f2.png")]
    assert same == [True, False]


def test_zoom_loop(dreamer: Dreamer, tmp_path: Path) -> None:
    source = save_waves(tmp_path / "waves.png")
    whole, parts = Work(tmp_path / "whole", {}), Work(tmp_path / "parts", {})
    run(dreamer, whole, loop_frames(source, Motion(0.05, 1, 4), whole))
    run(dreamer, parts, loop_frames(source, Motion(0.05, 1, 2), parts))
    run(dreamer, parts, loop_frames(source, Motion(0.05, 1, 4), parts))
    assert contents(parts) == contents(whole)
    frames = [load_image(whole.path(f"frame{index:06d}.png")).astype(int) for index in range(1, 5)]
    assert all(np.abs(after - before).mean() > 1 for before, after in pairwise(frames))


def test_a_full_disk_ends_it(dreamer: Dreamer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(tmp_path / "out", {})

    def full(*_: Path) -> Path:
        raise OSError(28, "No space left on device")

    work.begin()
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(TrtdreamError, match="No space left"):
        Dreaming(dreamer, work, lambda _: {}).run(folder_frames(folder))
    assert [path.name for path in work.folder.iterdir()] == ["trtdream.json"]
