"""Dream recipes: what wins over what, and every fault with its place."""

from pathlib import Path

import numpy as np
import pytest

from trtdream.errors import InputRefused, UsageError
from trtdream.recipe.dream_schema import Layer
from trtdream.recipe.dreams import load_dream, parse_channels, read_direction


def test_options_win_over_the_file_and_overrides_over_both(tmp_path: Path) -> None:
    (tmp_path / "guide.png").write_bytes(b"")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "layers: [68, 'conv2/3x3:-0.5', {name: pool2, channels: [1]}]\noctaves: 5\nguide: null\nstep: 2\n"
    )
    settings = load_dream(recipe, {"octaves": 6, "sizes": ["64x32", "128x64"]}, ["octaves=7", "strength=0.5"])
    assert (settings.octaves, settings.step, settings.strength) == (7, 2.0, (0.5,))
    assert settings.sizes == ((32, 64), (64, 128))
    assert settings.layers[:2] == (Layer(name="68"), Layer(name="conv2/3x3", weight=-0.5))
    assert settings.targets == settings.layers
    assert load_dream(None, {}).targets == (Layer(name="68"),)
    assert load_dream(None, {"classes": ["tabby"]}).targets == ()


def test_all_faults_at_once(tmp_path: Path) -> None:
    recipe = tmp_path / "bad.yaml"
    recipe.write_text("octave: 3\nlayers:\n  - {name: a, at: [0.5, 0.5]}\njitter: -1\n")
    with pytest.raises(UsageError) as told:
        load_dream(recipe, {"ascent": "climb"}, ["octave_scale=1"])
    lines = str(told.value).splitlines()
    assert lines[0] == f"{recipe}: 5 faults"
    for words in (
        ("line 1", "octave", "did you mean octaves"),
        ("line 3", "layers.0.at", "give channels too"),
        ("line 4", "jitter", "not -1"),
        ("--ascent", "'climb'"),
        ("octave_scale=1", "greater than 1"),
    ):
        assert any(all(word in line for word in words) for line in lines[1:]), words


@pytest.mark.parametrize("text", ["sizes: [64x]", "sizes: [128x64, 64x32]", "feather: 3", "strength: []"])
def test_what_cannot_be(tmp_path: Path, text: str) -> None:
    recipe = tmp_path / "bad.yaml"
    recipe.write_text(text)
    with pytest.raises(UsageError, match=text.partition(":")[0]):
        load_dream(recipe, {})


def test_a_direction_is_a_vector(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.array([1, 0.5]))
    assert read_direction(tmp_path / "good.npy") == [1.0, 0.5]
    np.save(tmp_path / "bad.npy", np.ones((2, 2)))
    (tmp_path / "no.npy").write_bytes(b"no")
    for name in ("bad.npy", "no.npy"):
        with pytest.raises(InputRefused, match=name):
            read_direction(tmp_path / name)


def test_channels_as_people_write_them() -> None:
    assert parse_channels("0-3,7") == [0, 1, 2, 3, 7]
    for wrong in ("", "a", "3-", "3-1", "-1", "1;2", "0-99999999999"):
        with pytest.raises(UsageError, match="0-31,40"):
            parse_channels(wrong)
