"""What the last dreamt frame leaves in the next one, so that a dream stays where it is instead of flickering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trtdream.errors import TrtdreamError, UsageError


@dataclass(frozen=True)
class Blending:
    """How much of the next frame is the last dreamt one (0..1), and whether that follows what moves."""

    share: float = 0.0
    flow: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise UsageError(f"--blend {self.share:g}: is the share of the frame before: 0 at least and less than 1")
        if self.flow:
            need_opencv()


@dataclass(frozen=True)
class Before:
    """The last frame, as it was and as it was dreamt, H x W x 3 uint8 RGB both."""

    picture: np.ndarray
    dreamt: np.ndarray


def blended(picture: np.ndarray, before: Before | None, blending: Blending) -> np.ndarray:
    """The frame to dream into: `picture`, with a share of the dream before it where one knows what to mix."""
    if before is None or not blending.share:
        return picture
    dreamt: np.ndarray = before.dreamt
    share: np.ndarray | float = blending.share
    if blending.flow:
        dreamt, known = carried_along(picture, before)
        share = blending.share * known[..., None]
    return np.rint(picture + (dreamt.astype(np.float32) - picture) * share).clip(0, 255).astype(np.uint8)


def carried_along(picture: np.ndarray, before: Before) -> tuple[np.ndarray, np.ndarray]:
    """The dream of the frame before, its things moved to where they are in `picture`; and where that is known, H x W.

    It is known where the way back leads to where the way there came from (within a pixel and a half): not where
    something comes into view, nor after a cut.
    """
    import cv2

    now, then = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (picture, before.picture))
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    back, there = finder.calc(now, then, None), finder.calc(then, now, None)  # H x W x (right, down)
    rows, columns = np.mgrid[: now.shape[0], : now.shape[1]].astype(np.float32)
    right, down = columns + back[..., 0], rows + back[..., 1]
    moved = cv2.remap(before.dreamt, right, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    returned = cv2.remap(there, right, down, cv2.INTER_LINEAR)
    astray = np.hypot(*np.moveaxis(back + returned, -1, 0))
    inside = (right >= 0) & (right <= now.shape[1] - 1) & (down >= 0) & (down <= now.shape[0] - 1)
    return moved, ((astray < 1.5) & inside).astype(np.float32)


def need_opencv() -> None:
    """Raises TrtdreamError, with what to do, if OpenCV is not installed."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise TrtdreamError(f"--flow needs OpenCV: pip install 'trtdream[video]' ({error})") from error
