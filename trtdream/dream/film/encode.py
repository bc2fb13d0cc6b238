"""Videos written by PyAV (FFmpeg's libraries)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from trtdream.dream.film.video import opened, pyav
from trtdream.errors import TrtdreamError
from trtdream.files import replacing

CODECS = {".mp4": "libx264", ".m4v": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
"""The suffixes of videos that can be written, and the codec each is written with."""

_WEBM_SOUND = {"opus", "vorbis"}
_QUALITY = {"libx264": {"crf": "16", "preset": "medium"}, "libvpx-vp9": {"crf": "24", "b": "0"}}


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    rate: Fraction,
    times: Sequence[Fraction] = (),
    sound_of: Path | None = None,
    comment: str = "",
) -> None:
    """Write frames, H x W x 3 uint8 RGB of one size, as a video; whole or not at all.

    Sides become even, by a last row or column shown twice: the codecs know no others.

    Args:
        rate: frames a second.
        times: when each frame is shown, in seconds; empty for one after the other.
        sound_of: a video whose sound is copied as it is.

    Raises:
        TrtdreamError: PyAV is not installed, its FFmpeg lacks the codec, the container cannot hold the sound, or the
            file cannot be written.
    """
    av = pyav()
    codec = CODECS[path.suffix.lower()]
    with replacing(path) as temporary:
        try:
            with av.open(str(temporary), "w") as container:
                container.metadata["comment"] = comment
                stream = container.add_stream(codec, rate, options=_QUALITY[codec])
                stream.pix_fmt = "yuv420p"
                _encode(container, stream, frames, times, sound_of)
        except av.FFmpegError as error:
            raise TrtdreamError(f"{path}: cannot be written as {codec} ({error.strerror or error})") from error


def sound_fits(codec: str, video: Path) -> bool:
    """Whether a video of that suffix can hold sound of that codec as it is."""
    return video.suffix.lower() in CODECS and (video.suffix.lower() != ".webm" or codec in _WEBM_SOUND)


def _encode(
    container: Any, stream: Any, frames: Iterable[np.ndarray], times: Sequence[Fraction], sound_of: Path | None
) -> None:
    av = pyav()
    sound = _Sound(container, sound_of) if sound_of else None
    clock = Fraction(1, 90_000) if times else 1 / Fraction(stream.codec_context.framerate)
    stream.codec_context.time_base = clock
    for index, pixels in enumerate(frames):
        even = np.pad(pixels, [(0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)], mode="edge")
        if index == 0:
            stream.height, stream.width = even.shape[:2]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        frame.time_base = clock
        frame.pts = round((times[index] - times[0]) / clock) if times else index
        for packet in stream.encode(frame):
            container.mux(packet)
    for packet in stream.encode(None):
        container.mux(packet)
    if sound is not None:
        sound.copy()


class _Sound:
    """The sound of another video, taken over packet by packet."""

    def __init__(self, container: Any, of: Path) -> None:
        self.container, self.of = container, of
        with opened(of) as source:
            self.to = container.add_stream_from_template(source.streams.audio[0])

    def copy(self) -> None:
        with opened(self.of) as source:
            for packet in source.demux(source.streams.audio[0]):
                if packet.dts is not None:
                    packet.stream = self.to
                    self.container.mux(packet)
