"""Videos in and out, by PyAV (FFmpeg's libraries)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trtdream.dream.frames import Frame, numbered
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.files import replacing

_Decoded = tuple[Fraction | None, "VideoFrame | Exception"]

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame

CODECS = {".mp4": "libx264", ".m4v": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
"""The suffixes of videos that can be written, and the codec each is written with."""

READ = {*CODECS, ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".ts", ".3gp"}
"""The suffixes of files that are taken for videos."""

_WEBM_SOUND = {"opus", "vorbis"}
_QUALITY = {"libx264": {"crf": "16", "preset": "medium"}, "libvpx-vp9": {"crf": "24", "b": "0"}}


@dataclass(frozen=True)
class Video:
    """A video file.

    Attributes:
        rate: frames a second, on average.
        count: how many frames it holds, by its packets.
        sound: the codec of its sound; "" without.
        times: when each frame is shown, in seconds, rising; empty if the frames do not say.
        keys: when those are shown from which a decoder can begin, rising.
    """

    path: Path
    rate: Fraction
    count: int
    sound: str
    times: tuple[Fraction, ...]
    keys: tuple[Fraction, ...] = ()

    def frames(self, begun: int = 0) -> Iterator[Frame]:
        """The frames in the order they are shown; one that is damaged says so when it is loaded.

        Args:
            begun: that many at the start need not be decoded, for nobody will load them (each is looked for if someone
                does): decoding begins at the last keyframe that will do, where the file can be sought in.
        """
        begun = min(begun, max(len(self.times) - 1, 0))
        yield from (Frame(numbered(rank), partial(self._alone, rank), self.path) for rank in range(1, begun + 1))
        ranks = {time: rank for rank, time in enumerate(self.times, 1)}
        broken: dict[int, Exception] = {}  # found before its turn: a decoder is some frames ahead of what it shows
        rank = begun
        with self._decoding(begun) as found:
            for time, decoded in found:
                now = ranks.get(time, rank + 1) if time is not None else rank + 1
                if now <= begun:
                    continue
                if isinstance(decoded, Exception):
                    broken[now] = decoded
                    continue
                yield from (self._frame(each, broken.pop(each)) for each in sorted(broken) if each < now)
                rank = max(now, rank + 1)
                yield self._frame(rank, decoded)
        yield from (self._frame(each, broken[each]) for each in sorted(broken))

    @contextmanager
    def _decoding(self, begun: int) -> Iterator[Iterator[_Decoded]]:
        """All frames, or those from the last keyframe before frame `begun` + 1 on."""
        key = max((key for key in self.keys if begun and key <= self.times[begun]), default=None)
        if key is not None:
            with _opened(self.path) as container:
                found = _decoded_from(container, key)
                if found is not None:
                    yield found
                    return
        with _opened(self.path) as container:
            yield _decoded(container)

    def _alone(self, rank: int) -> np.ndarray:
        return next(frame for frame in self.frames(rank - 1) if frame.name == numbered(rank)).load()

    def _frame(self, rank: int, decoded: VideoFrame | Exception) -> Frame:
        return Frame(numbered(rank), _Loader(self.path, rank, decoded), self.path)


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
        sound = str(container.streams.audio[0].codec_context.name) if container.streams.audio else ""
        packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
        if not packets:
            raise InputRefused(f"{path}: is a video without a single frame")
        shown = {time: packet.is_keyframe for packet in packets if (time := _time(packet)) is not None}
        times = tuple(sorted(shown)) if len(shown) == len(packets) else ()
        return Video(path, Fraction(rate), len(packets), sound, times, tuple(time for time in times if shown[time]))


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
    except av.EOFError as error:
        raise InputRefused(f"{path}: is a video without a single frame, or one cut off at its start") from error
    except av.FFmpegError as error:
        raise InputRefused(f"{path}: is not a video that can be read ({error.strerror or error})") from error


def _decoded_from(container: InputContainer, key: Fraction) -> Iterator[_Decoded] | None:
    """The frames from a keyframe on; None where the container cannot be sought in, or leads elsewhere."""
    av = _av()
    stream = container.streams.video[0]
    try:
        container.seek(round(key / Fraction(stream.time_base or 1)), stream=stream)
        found = _decoded(container)
        first = next(found, None)
    except av.FFmpegError:
        return None
    if first is None or first[0] is None or first[0] > key:
        return None
    return chain([first], found)


def _decoded(container: InputContainer) -> Iterator[_Decoded]:
    """Each frame with its time, or why a packet gave none; what comes after that is decoded all the same."""
    av = _av()
    for packet in container.demux(container.streams.video[0]):
        try:
            yield from ((_time(frame), frame) for frame in packet.decode())
        except av.FFmpegError as error:
            yield _time(packet), error


def _time(of: Packet | VideoFrame) -> Fraction | None:
    """When it is shown, in seconds."""
    return None if of.pts is None or of.time_base is None else of.pts * Fraction(of.time_base)


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise TrtdreamError(f"videos need PyAV: pip install 'trtdream[video]' ({error})") from error
    return av
