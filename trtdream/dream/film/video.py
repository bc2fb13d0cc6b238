"""Videos read by PyAV (FFmpeg's libraries)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trtdream.dream.film.frames import Frame, numbered
from trtdream.errors import InputRefused, TrtdreamError, UsageError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame

READ = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".ts", ".3gp"}
"""The suffixes of files that are taken for videos."""

_Decoded = tuple[Fraction | None, "VideoFrame | Exception"]


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
            with opened(self.path) as container:
                found = _decoded_from(container, key)
                if found is not None:
                    yield found
                    return
        with opened(self.path) as container:
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
    with opened(path) as container:
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


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """A video open in the block, what FFmpeg says of it as a refusal.

    Raises:
        InputRefused: it cannot be read.
        TrtdreamError: PyAV is not installed.
    """
    av = pyav()
    try:
        with av.open(str(path)) as container:
            yield container
    except av.EOFError as error:
        raise InputRefused(f"{path}: is a video without a single frame, or one cut off at its start") from error
    except av.FFmpegError as error:
        raise InputRefused(f"{path}: is not a video that can be read ({error.strerror or error})") from error


def _decoded_from(container: InputContainer, key: Fraction) -> Iterator[_Decoded] | None:
    """The frames from a keyframe on; None where the container cannot be sought in, or leads elsewhere."""
    av = pyav()
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
    av = pyav()
    for packet in container.demux(container.streams.video[0]):
        try:
            yield from ((_time(frame), frame) for frame in packet.decode())
        except av.FFmpegError as error:
            yield _time(packet), error


def _time(of: Packet | VideoFrame) -> Fraction | None:
    """When it is shown, in seconds."""
    return None if of.pts is None or of.time_base is None else of.pts * Fraction(of.time_base)


def pyav() -> Any:
    """PyAV. Raises TrtdreamError, with what to do, if it is not installed."""
    try:
        import av
    except ImportError as error:
        raise TrtdreamError(f"videos need PyAV: pip install 'trtdream[video]' ({error})") from error
    return av
