"""Tiny videos made by PyAV, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av: Any = pytest.importorskip("av", reason="PyAV is not installed (trtdream[video])")


def grey_frames(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Frames that are told apart by their grey: 20, 40, 60, ..."""
    return [np.full((height, width, 3), 20 * index, np.uint8) for index in range(1, count + 1)]


def make_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    rate: int = 10,
    codec: str = "libx264",
    stamps: Sequence[int] = (),
    sound: bool = False,
    turn: int = 0,
    options: Mapping[str, str] | None = None,
) -> Path:
    """A video; stamps are in frames of `rate`. With sound: a second of it. turn: degrees a player is to turn it by."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate, options=dict(options or {}))
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        audio = container.add_stream("aac", 44100, layout="mono") if sound else None
        if turn:
            video.set_display_rotation(turn)
        for index, pixels in enumerate(frames):
            if index == 0:
                video.height, video.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = (stamps[index] if stamps else index), Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _add_sound(container, audio)
    return path


def sound_of(path: Path) -> list[tuple[float, bytes]]:
    """The packets of a video's sound, with their times in seconds."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.audio[0]) if packet.size]
        return [(round(float(packet.pts * packet.time_base), 2), bytes(packet)) for packet in packets]


def _add_sound(container: Any, audio: Any) -> None:
    tone = np.sin(np.arange(44100) / 20).astype(np.float32)[None]
    for start in range(0, 44100 - 1023, 1024):
        frame = av.AudioFrame.from_ndarray(tone[:, start : start + 1024].copy(), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, start
        container.mux(audio.encode(frame))
    container.mux(audio.encode(None))
