"""What a user of `trtdream dream` asked for, where more than one picture is to be dreamt into."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from trtdream.dream.film.animation import is_animation
from trtdream.dream.film.blend import Blending
from trtdream.dream.film.films import SUFFIXES, check_film
from trtdream.dream.film.video import READ
from trtdream.dream.film.zoom import Motion
from trtdream.errors import UsageError
from trtdream.files import refuse_overwrite


@dataclass(frozen=True)
class Asked:
    """What a user asked for.

    Attributes:
        source: a folder of pictures, a video, or with `motion` one picture to zoom into.
        out: a folder, or a film by its suffix; None for a name made of the source's.
        rate: of the film; None for the video's, else 12 frames a second.
        batch: how many pictures are dreamt into at once.
    """

    source: Path
    out: Path | None = None
    motion: Motion | None = None
    blending: Blending = field(default_factory=Blending)
    rate: Fraction | None = None
    batch: int = 1

    @property
    def is_series(self) -> bool:
        """Whether there is more than one picture. One that moves makes a film if one is wanted, or shows its first."""
        if self.motion is not None or self.source.is_dir() or self.source.suffix.lower() in READ:
            return True
        wants_film = self.out is not None and self.out.suffix.lower() in SUFFIXES
        return wants_film and is_animation(self.source)

    @property
    def film(self) -> Path | None:
        """The film that is wanted; None for a folder."""
        if self.out is None:
            if self.source.is_dir():
                return None
            return Path(f"{self.source.stem}_dream{'.mp4' if self.motion is None else '.gif'}")
        return self.out if self.out.suffix and not self.out.is_dir() else None

    @property
    def folder(self) -> Path:
        """Where the pictures go: a film's into one beside it, until it is made."""
        if self.film is not None:
            return self.film.with_name(f"{self.film.name}.frames")
        return self.out or Path(f"{self.source.name}_dream")

    def check(self, force: bool) -> None:
        """Refuse what can be refused before a network is loaded.

        Raises:
            UsageError: there is no such source, the film exists or has no known suffix, or the folder is in the
                source.
        """
        if not self.source.exists():
            raise UsageError(f"{self.source}: no such file or folder")
        if self.film is not None:
            check_film(self.film)
            refuse_overwrite(self.film, force)
        if self.source.is_dir() and self.folder.resolve().is_relative_to(self.source.resolve()):
            raise UsageError(
                f"{self.folder}: lies in {self.source}, and would be dreamt into as well; name a folder elsewhere"
            )


def asked_for(
    source: Path,
    out: Path | None,
    zoom: float | None,
    rotate: float | None,
    frames: int | None,
    fps: float | None,
    blend: float | None,
    flow: bool,
    batch: int,
) -> Asked:
    """What the options of those names ask for; None is an option that was not given.

    Raises:
        UsageError: options that do not go with the source.
    """
    moving = zoom is not None or rotate is not None or frames is not None
    motion = Motion(zoom or 0.0, rotate or 0.0, frames or 100) if moving else None
    share = blend if blend is not None else 0.5 if flow else 0.0
    if fps is not None and not 0 < fps <= 1000:
        raise UsageError(f"--fps {fps:g}: must be more than 0 and at most 1000")
    rate = None if fps is None else Fraction(fps).limit_denominator(1001)
    asked = Asked(source, out, motion, Blending(share, flow), rate, batch)
    if motion is not None and (source.is_dir() or source.suffix.lower() in READ):
        raise UsageError(
            "--zoom, --rotate and --frames: move into one picture; a folder or video has frames of its own"
        )
    if share and (motion is not None or not asked.is_series):
        raise UsageError("--blend and --flow: are for the frames of a folder or video")
    if batch > 1 and (motion is not None or share or not asked.is_series):
        raise UsageError("--batch: is for a folder or video whose frames do not depend on each other (--blend, --flow)")
    if rate is not None and not (asked.is_series and asked.film):
        raise UsageError("--fps: is of a film: name one with -o")
    return asked
