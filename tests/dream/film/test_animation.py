from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.dream.tiny import waves
from trtdream.dream.film.animation import is_animation, open_animation
from trtdream.errors import InputRefused

LENGTHS = [100, 40, 250, 70]  # milliseconds


def save(path: Path, frames: list[np.ndarray]) -> Path:
    first, *rest = map(Image.fromarray, frames)
    exact = {"lossless": True} if path.suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=rest, duration=LENGTHS[: len(frames)], **exact)
    return path


@pytest.mark.parametrize(("suffix", "close"), [(".gif", 25), (".webp", 0), (".png", 0)])
def test_frames_and_times(tmp_path: Path, suffix: str, close: int) -> None:
    frames = [waves(phase=phase) for phase in range(4)]
    path = save(tmp_path / f"moving{suffix}", frames)
    assert is_animation(path)
    found = open_animation(path)
    assert [float(time) for time in found.times] == [0, 0.1, 0.14, 0.39]
    assert (found.count, found.rate, found.sound) == (4, pytest.approx(4 / 0.46), "")
    straight = [frame.load() for frame in found.frames()]
    for one, wanted in zip(straight, frames, strict=True):
        assert np.abs(one.astype(int) - wanted).max() <= close
    for begun in range(4):  # what is skipped can be had all the same
        assert all(np.array_equal(each.load(), straight[rank]) for rank, each in enumerate(found.frames(begun)))
    assert [frame.name for frame in found.frames(2)] == [f"frame{rank:06d}.png" for rank in range(1, 5)]


def test_what_does_not_move_and_what_is_no_picture(tmp_path: Path) -> None:
    assert not is_animation(save(tmp_path / "still.webp", [waves()]))
    assert not is_animation(tmp_path / "clip.mp4")
    (tmp_path / "no.gif").write_bytes(b"nope")
    with pytest.raises(InputRefused, match=r"no\.gif"):
        is_animation(tmp_path / "no.gif")


def test_a_film_cut_off(tmp_path: Path) -> None:
    """What is there is read, and what is not is named."""
    path = save(tmp_path / "moving.png", [waves(phase=phase) for phase in range(4)])
    found = open_animation(path)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"fdAT") + 30])
    frames = list(found.frames())
    assert np.array_equal(frames[2].load(), waves(phase=2))
    with pytest.raises(InputRefused, match="frame 4 is damaged"):
        frames[3].load()
