from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.dream.film.clips import av, grey_frames, make_clip, sound_of
from trtdream.dream.film.encode import sound_fits
from trtdream.dream.film.films import write_film
from trtdream.dream.film.video import open_video
from trtdream.errors import InputRefused, TrtdreamError, UsageError


def greys(path: Path) -> list[float]:
    return [float(frame.load().mean()) for frame in open_video(path).frames()]


def test_frames_are_read_in_order(tmp_path: Path) -> None:
    video = open_video(make_clip(tmp_path / "clip.mp4", grey_frames(6), rate=10))
    assert (video.rate, video.count, video.sound) == (10, 6, "")
    assert greys(video.path) == pytest.approx([20, 40, 60, 80, 100, 120], abs=2)
    assert [frame.name for frame in video.frames()][-1] == "frame000006.png"
    assert video.times == tuple(Fraction(index, 10) for index in range(6))


def test_a_turned_phone_is_set_upright(tmp_path: Path) -> None:
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :32] = 200  # bright on the left
    (loaded,) = [one.load() for one in open_video(make_clip(tmp_path / "clip.mp4", [frame], turn=90)).frames()]
    assert loaded.shape == (64, 48, 3)
    assert loaded[40:].mean() > 180 > 20 > loaded[:24].mean()  # turned counter-clockwise: the left is below


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov"])
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    write_film(path, iter(grey_frames(5, 33, 47)), Fraction(24), comment="made so")
    video = open_video(path)
    assert (video.count, video.rate) == (5, pytest.approx(24, rel=0.01))
    assert greys(path) == pytest.approx([20, 40, 60, 80, 100], abs=2)
    assert next(iter(video.frames())).load().shape == (34, 48, 3)  # even sides
    with av.open(str(path)) as container:
        assert "made so" in container.metadata.values()


def test_sound_is_kept_as_it_is(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", grey_frames(10), sound=True)
    video = open_video(clip)
    assert video.sound == "aac"
    write_film(tmp_path / "film.mp4", iter(grey_frames(10)), video.rate, video.times, clip)
    assert sound_of(tmp_path / "film.mp4") == sound_of(clip)
    assert sound_fits("aac", Path("a.mkv"))
    assert not sound_fits("aac", Path("a.webm"))
    assert not sound_fits("aac", Path("a.gif"))


def test_frames_of_differing_length_stay_so(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", grey_frames(4), stamps=[0, 1, 5, 6])
    times = open_video(clip).times
    assert [float(time - times[0]) for time in times] == pytest.approx([0, 0.1, 0.5, 0.6], abs=0.002)
    write_film(tmp_path / "film.mkv", iter(grey_frames(4)), Fraction(10), times)
    again = open_video(tmp_path / "film.mkv").times
    assert [float(time) for time in again] == pytest.approx([0, 0.1, 0.5, 0.6], abs=0.002)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi", ".ts"])
def test_decoding_begins_at_a_keyframe_and_gives_the_same_frames(tmp_path: Path, suffix: str) -> None:
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    options = {"g": "4", "bf": "0"} if suffix == ".avi" else {"g": "5", "bf": "2", "sc_threshold": "0"}
    video = open_video(make_clip(tmp_path / f"clip{suffix}", grey_frames(12), codec=codec, options=options))
    straight = {frame.name: frame.load() for frame in video.frames()}
    assert len(straight) == video.count == 12
    for begun in range(13):
        found = list(video.frames(begun))
        assert [frame.name for frame in found] == list(straight)
        assert all(np.array_equal(frame.load(), straight[frame.name]) for frame in found[begun:])
    assert np.array_equal(found[7].load(), straight["frame000008.png"])  # not decoded, and yet asked for
    if len(video.keys) > 1:
        with video._decoding(11) as decoded:
            first = next(decoded)[0]
        assert first == video.keys[-1] or (suffix == ".ts" and first < video.keys[-1])  # it seeks by guessing
    else:
        assert suffix == ".avi"  # whose packets do not say when they are shown


@pytest.mark.parametrize("codec", ["mjpeg", "libx264"])
def test_a_damaged_frame_is_named_and_the_rest_read(tmp_path: Path, codec: str) -> None:
    noise = np.random.default_rng(0).normal(0, 8, (48, 64, 3))
    frames = [(frame + noise).clip(0, 255).astype(np.uint8) for frame in grey_frames(5)]
    clip = make_clip(tmp_path / "clip.mkv", frames, codec=codec)
    with av.open(str(clip)) as container:
        packets = [(p.pts, bytes(p)) for p in container.demux(container.streams.video[0]) if p.size]
    stamp, broken = packets[2]  # as they are decoded; they are numbered as they are shown
    shown = sorted(pts for pts, _ in packets).index(stamp) + 1
    content = clip.read_bytes()
    assert content.count(broken) == 1
    clip.write_bytes(content.replace(broken, bytes(len(broken))))
    found, faults = {}, []
    for frame in open_video(clip).frames():
        try:
            found[int(frame.name[5:11])] = float(frame.load().mean())
        except InputRefused as error:
            faults.append(str(error))
    assert list(found) == [rank for rank in range(1, 6) if rank != shown]
    assert len(faults) == 1
    assert faults[0].startswith(f"{clip}: frame {shown} is damaged")
    if codec == "mjpeg":  # no frame of which is made from another
        assert all(grey == pytest.approx(20 * rank, abs=3) for rank, grey in found.items())


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video at all")
    with pytest.raises(InputRefused, match=r"no\.mp4"):
        open_video(tmp_path / "no.mp4")
    with pytest.raises(UsageError, match="no such file"):
        open_video(tmp_path / "gone.mp4")
    with av.open(str(tmp_path / "empty.mkv"), "w") as container:
        stream = container.add_stream("libx264", 10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        container.start_encoding()
    with pytest.raises(InputRefused, match="without a single frame"):
        open_video(tmp_path / "empty.mkv")


def test_a_full_disk_leaves_no_film(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"

    def frames():
        yield grey_frames(1)[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(TrtdreamError, match="No space left"):
        write_film(target, frames(), Fraction(10))
    assert list(tmp_path.iterdir()) == []
