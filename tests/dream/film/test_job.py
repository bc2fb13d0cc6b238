"""Films from videos and pictures that move, left and gone on with."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.dream.tiny import waves
from trtdream.dream.dreamer import Dreamer
from trtdream.dream.film.asked import Asked
from trtdream.dream.film.blend import Blending
from trtdream.dream.film.job import plan
from trtdream.dream.film.series import Told
from trtdream.recipe.dream_schema import Layer, Settings
from trtdream.runtime.image import load_image
from trtdream.runtime.model import Model


def moving(folder: Path, suffix: str) -> Path:
    frames = [waves(phase=index / 3) for index in range(9)]
    path = folder / f"moving{suffix}"
    if suffix == ".mp4":
        clips = pytest.importorskip("tests.dream.film.clips")
        return Path(clips.make_clip(path, frames, options={"g": "3", "bf": "1"}))
    first, *rest = map(Image.fromarray, frames)
    first.save(path, save_all=True, append_images=rest, duration=50)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".webp"])
@pytest.mark.parametrize(("blending", "batch"), [(Blending(), 1), (Blending(0.5), 1), (Blending(), 4)])
def test_a_film_gone_on_with_is_the_film(
    tiny: Model, tmp_path: Path, suffix: str, blending: Blending, batch: int
) -> None:
    dreamer = Dreamer(tiny, Settings(layers=(Layer(name="both"),), octaves=1, iterations=1))
    source = moving(tmp_path, suffix)
    begun: list[str] = []

    def run(folder: str, stop_at: str = "") -> dict[str, np.ndarray]:
        def begin(name: str) -> None:
            begun.append(name)
            if name == stop_at:
                raise KeyboardInterrupt

        job = plan(Asked(source, tmp_path / folder, blending=blending, batch=batch), dreamer, None)
        series = job.run(Told(on_frame=begin))
        assert series.interrupted == bool(stop_at) and not series.failed
        return {path.name: load_image(path) for path in sorted((tmp_path / folder).glob("*.png"))}

    straight = run("straight")
    assert len(straight) == 9
    left = run("left", stop_at="frame000005.png" if batch == 4 else "frame000008.png")
    assert len(left) == (4 if batch == 4 else 7)
    begun.clear()
    gone_on = run("left")
    assert begun[0] == f"frame{len(left) + 1:06d}.png"
    assert list(gone_on) == list(straight)
    assert all(np.array_equal(gone_on[name], straight[name]) for name in straight)
