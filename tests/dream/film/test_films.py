from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.dream.tiny import waves
from trtdream.dream.film.films import write_film
from trtdream.dream.film.making import Making
from trtdream.dream.watch import Moment
from trtdream.errors import UsageError


@pytest.mark.parametrize(("suffix", "close"), [(".gif", 12), (".webp", 6)])
def test_animations(tmp_path: Path, suffix: str, close: float) -> None:
    frames = [waves(phase=index) for index in range(7)]
    path = tmp_path / f"film{suffix}"
    write_film(path, iter(frames), Fraction(30), comment='{"made": "so"}')
    with Image.open(path) as film:
        assert film.n_frames == 7
        milliseconds = 0
        for index, frame in enumerate(frames):
            film.seek(index)
            film.load()
            milliseconds += film.info["duration"]
            assert np.abs(np.asarray(film.convert("RGB")).astype(int) - frame).mean() < close
    assert milliseconds == pytest.approx(7000 / 30, abs=10)


def test_unknown_films_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.xyz"):
        write_film(tmp_path / "film.xyz", [waves()], Fraction(12))


def test_the_making_shows_every_step_and_not_too_many(tmp_path: Path) -> None:
    making = Making(waves(8, 400), most=20)
    for step in range(50):
        making.on_step(Moment(0, step, lambda step=step: waves(8, 400, step / 5)))
    making.write(tmp_path / "making.gif", waves(8, 400, 1.0))
    with Image.open(tmp_path / "making.gif") as film:
        assert film.size == (320, 6)
        assert 10 <= film.n_frames <= 20 + 2
