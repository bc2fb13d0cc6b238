"""Videos in and out, by PyAV (FFmpeg's libraries)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trtdream.dream.frames import Frame, numbered
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.files import replacing

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

CODECS = {".mp4": "libx264", ".m4v": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
"""The suffixes of videos that can be written, and the codec each is written with."""

READ = {*CODECS, ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".ts", ".3gp"}
"""The suffixes of files that are taken for videos."""

_WEBM_SOUND = {"opus", "vorbis"}
_QUALITY = {"libx264": {"crf": "16", "preset": "medium"}, "libvpx-vp9": {"crf": "24", "b": "0"}}


@dataclass(frozen=True)
class Video:
    """A video file: its frames a second, how many frames it holds (by its packets), the codec of its sound or ""."""

    path: Path
    rate: Fraction
    count: int
    sound: str

    def frames(self) -> Iterator[Frame]:
        """The frames in the order they are shown; one that is damaged says so when it is loaded.

        They are decoded one after the other: load one before the next is asked for.
        """
        index = 0
        with _opened(self.path) as container:
            for decoded in _decoded(container):
                index += 1
                yield Frame(numbered(index), _Loader(self.path, index, decoded), self.path)

    def times(self) -> list[Fraction]:
        """When each frame is shown, in seconds; of a video whose frames do not say, empty."""
        with _opened(self.path) as container:
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            times = {packet.pts * Fraction(packet.time_base) for packet in packets if packet.pts is not None}
            return sorted(times) if len(times) == self.count else []


@dataclass(frozen=True)
class _Loader:
    path: Path
    index: int
    decoded: VideoFrame | Exception

    def __call__(self) -> np.ndarray:
        if isinstance(self.decoded, Exception):
            raise InputRefused(f"{self.path}: frame {self.index} is damaged ({self.decoded})")
        if self.decoded.is_corrupt:
            raise InputRefused(f"{self.path}: frame {self.index} is damaged")
        turned = np.rot90(self.decoded.to_ndarray(format="rgb24"), self.decoded.rotation // 90)
        return np.ascontiguousarray(turned)


def open_video(path: Path) -> Video:
    """What a video is.

    Raises:
        UsageError: no such file.
        InputRefused: it is no video, or one without frames.
        TrtdreamError: PyAV is not installed.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file")
    with _opened(path) as container:
        if not container.streams.video:
            raise InputRefused(f"{path}: holds no video")
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        count = sum(packet.size > 0 for packet in container.demux(stream))
        if not count:
            raise InputRefused(f"{path}: is a video without a single frame")
        return Video(path, Fraction(rate), count, _sound_codec(container))


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
    av = _av()
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


def _sound_codec(container: InputContainer) -> str:
    return str(container.streams.audio[0].codec_context.name) if container.streams.audio else ""


def _encode(
    container: Any, stream: Any, frames: Iterable[np.ndarray], times: Sequence[Fraction], sound_of: Path | None
) -> None:
    av = _av()
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
        with _opened(of) as source:
            self.to = container.add_stream_from_template(source.streams.audio[0])

    def copy(self) -> None:
        with _opened(self.of) as source:
            for packet in source.demux(source.streams.audio[0]):
                if packet.dts is not None:
                    packet.stream = self.to
                    self.container.mux(packet)


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    av = _av()
    try:
        with av.open(str(path)) as container:
            yield container
    except av.FFmpegError as error:
        raise InputRefused(f"{path}: is not a video that can be read ({error.strerror or error})") from error


def _decoded(container: InputContainer) -> Iterator[VideoFrame | Exception]:
    """Each frame, or why a packet gave none; what comes after that is decoded all the same."""
    av = _av()
    stream = container.streams.video[0]
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.FFmpegError as error:
            yield error


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise TrtdreamError(f"videos need PyAV: pip install 'trtdream[video]' ({error})") from error
    return av
