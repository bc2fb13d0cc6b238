import numpy as np
import pytest

from trtdream.dream.film.blend import Before, Blending, blended, carried_along
from trtdream.errors import UsageError


def blobs(shift: int) -> np.ndarray:
    """Smooth blobs that have moved so many pixels to the right, H x W x 3 uint8."""
    rows, columns = np.mgrid[0:80, 0:100].astype(np.float64)
    columns = columns - shift
    grey = 128 + 60 * np.sin(columns / 6) * np.cos(rows / 7) + 50 * np.sin((columns + 2 * rows) / 13)
    return np.repeat(grey.clip(0, 255).round()[..., None], 3, 2).astype(np.uint8)


def test_a_share_of_the_frame_before() -> None:
    now, dreamt = np.full((4, 5, 3), 100, np.uint8), np.full((4, 5, 3), 200, np.uint8)
    assert (blended(now, Before(now, dreamt), Blending(0.25)) == 125).all()
    assert blended(now, None, Blending(0.25)) is now
    assert blended(now, Before(now, dreamt), Blending()) is now
    with pytest.raises(UsageError, match="--blend 1"):
        Blending(1.0)


def test_a_dream_goes_with_what_moves() -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed (trtdream[video])")
    dreamt = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    moved, known = carried_along(blobs(4), Before(blobs(0), dreamt))
    assert known[10:-10, 20:-20].mean() > 0.95
    assert known[:, :2].max() == 0  # has come into view
    smooth = blobs(50)  # a dream that is smooth, so that a tenth of a pixel is no matter
    moved, known = carried_along(blobs(4), Before(blobs(0), smooth))
    off = np.abs(moved[10:-10, 20:-20].astype(int) - smooth[10:-10, 16:-24])
    stayed = np.abs(smooth[10:-10, 20:-20].astype(int) - smooth[10:-10, 16:-24])
    assert off.mean() < stayed.mean() / 8


def test_nothing_is_carried_over_a_cut() -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed (trtdream[video])")
    noise = np.random.default_rng(1).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    _, known = carried_along(noise, Before(blobs(0), noise))
    assert known.mean() < 0.2
