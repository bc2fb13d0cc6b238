"""What `trtdream dream` makes of more than one picture: which frames, into which folder, into which film."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import takewhile
from pathlib import Path

from trtdream.dream.dreamer import Dreamer
from trtdream.dream.film.animation import Animation, is_animation, open_animation
from trtdream.dream.film.asked import Asked
from trtdream.dream.film.blend import Blending
from trtdream.dream.film.encode import sound_fits
from trtdream.dream.film.films import write_film
from trtdream.dream.film.frames import Frame, folder_frames, numbered
from trtdream.dream.film.series import Dreaming, Series, Told, finished
from trtdream.dream.film.video import Video, open_video
from trtdream.dream.film.work import Work
from trtdream.dream.film.zoom import loop_frames
from trtdream.dream.provenance import metadata, record
from trtdream.errors import TrtdreamError, UsageError
from trtdream.runtime.image import load_image

Moving = Video | Animation


@dataclass(frozen=True)
class Job:
    """A series to be dreamt, with the folder of its pictures, and the film to be made of them, if any.

    Attributes:
        blending: of a film's frames; None where pictures have nothing to do with each other.
        video: the source, if it is one, or a picture that moves.
    """

    asked: Asked
    dreamer: Dreamer
    net: str | None
    work: Work
    frames: Iterable[Frame]
    count: int
    blending: Blending | None
    video: Moving | None

    @property
    def film(self) -> Path | None:
        return self.asked.film

    @property
    def notes(self) -> list[str]:
        """What a person should know beforehand."""
        if self.video and self.film and self.video.sound and not sound_fits(self.video.sound, self.film):
            return [f"the sound ({self.video.sound}) is left out: {self.film.suffix} cannot hold it"]
        return []

    def run(self, told: Told) -> Series:
        """Dream into what is not done yet.

        Raises:
            TrtdreamError: a picture cannot be written.
        """
        return Dreaming(self.dreamer, self.work, self._describe, self.blending, told, self.asked.batch).run(self.frames)

    def finish(self, series: Series) -> None:
        """Make the film of the frames; if all are there, their folder has done its work and goes.

        Raises:
            TrtdreamError: not one frame is done, or the film cannot be written.
        """
        if self.film is None:
            return
        paths = finished(series, self.work)
        if not paths:
            raise TrtdreamError(f"{self.asked.source}: not one frame could be dreamt into; no film is made")
        times = self.video.times if self.video else ()
        sound = self.video.path if self.video and self.video.sound and not self.notes else None
        write_film(
            self.film,
            (load_image(path) for path in paths),
            self.rate,
            times if len(times) == len(paths) and self.asked.rate is None else (),
            sound,
            json.dumps(dict(self.work.made)),
        )
        if not series.failed:
            shutil.rmtree(self.work.folder)

    @property
    def rate(self) -> Fraction:
        return self.asked.rate or (self.video.rate if self.video else Fraction(12))

    def _describe(self, frame: Frame) -> dict[str, str]:
        """A film's frame is one of many; a folder's picture could have been dreamt into by itself."""
        if self.blending is None:
            return metadata(record(self.dreamer, frame.file, self.net))
        return metadata({**self.work.made, "frame": frame.name})


def plan(asked: Asked, dreamer: Dreamer, net: str | None, force: bool = False) -> Job:
    """Find the frames, and the folder that their dreams go to.

    Args:
        net: what the network was asked for as.
        force: replace a film that exists, and start anew in a folder that was begun otherwise.

    Raises:
        UsageError: no picture in the folder, a batch to be taken in tiles, an output that exists, or a folder begun
            with other settings.
        InputRefused: a video that cannot be read or has no frames.
        TrtdreamError: what videos need is not installed.
    """
    asked.check(force)
    if asked.batch > 1 and (dreamer.computing.tile or dreamer.computing.memory):
        raise UsageError("--batch: holds whole pictures side by side: leave out --tile and --memory")
    film = asked.film
    video = _open(asked.source) if asked.motion is None and asked.source.is_file() else None
    moving = asdict(asked.motion) if asked.motion else {}
    is_film = bool(film or video or asked.motion or asked.blending.share)
    blending = asked.blending if is_film else None
    made = {**record(dreamer, asked.source, net), "motion": moving, "blending": asdict(asked.blending)}
    work = Work(asked.folder, made)
    frames, count = _frames(asked, video, work)
    work.begin(force)
    return Job(asked, dreamer, net, work, frames, count, blending, video)


def _frames(asked: Asked, video: Moving | None, work: Work) -> tuple[Iterable[Frame], int]:
    if asked.motion is not None:
        load_image(asked.source)  # refused now rather than as a frame that fails
        return loop_frames(asked.source, asked.motion, work), asked.motion.frames
    if video is not None:
        return video.frames(_done_before(video, work)), video.count
    found = folder_frames(asked.source)
    return found, len(found)


def _open(path: Path) -> Moving:
    return open_animation(path) if is_animation(path) else open_video(path)


def _done_before(video: Moving, work: Work) -> int:
    """How many frames at the start are done with; the last one done is not among them, for the next may need it."""
    done = sum(1 for _ in takewhile(work.done, (numbered(rank) for rank in range(1, video.count + 1))))
    return max(done - 1, 0)
