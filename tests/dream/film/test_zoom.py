import numpy as np
import pytest

from trtdream.dream.film.zoom import Motion, moved
from trtdream.errors import UsageError


def test_no_motion_is_the_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (21, 34, 3), dtype=np.uint8)
    assert (moved(picture, Motion()) == picture).all()


def test_a_quarter_turn() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    assert (moved(picture, Motion(rotate=90)) == np.rot90(picture)).all()


def test_zoom_moves_towards_the_middle() -> None:
    """A ramp stays a ramp, as much flatter as the zoom says, its middle where it was: the notebook's transform."""
    columns = np.arange(41, dtype=np.float64)
    ramp = np.repeat(np.broadcast_to(columns * 5 + 20, (31, 41))[..., None], 3, 2).astype(np.uint8)
    wanted = (20 + (columns - 0.1 * (columns - 20)) * 5).round()
    off = moved(ramp, Motion(zoom=0.1)).astype(int) - wanted[None, :, None]
    assert np.abs(off[5:-5, 5:-5]).max() <= 1


def test_zooming_out_mirrors_the_edges() -> None:
    picture = np.full((20, 20, 3), 200, np.uint8)
    assert (moved(picture, Motion(zoom=-0.3, rotate=20)) == 200).all()


def test_refusals() -> None:
    for motion in ({"zoom": 0.7}, {"rotate": 200}, {"frames": 0}, {"zoom": float("nan")}):
        with pytest.raises(UsageError, match=f"--{next(iter(motion))}"):
            Motion(**motion)
