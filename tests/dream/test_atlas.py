import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tests.dream.tiny import GREEN, RED
from trtdream.dream.atlas import every_channel, every_layer, make_atlas, write_atlas
from trtdream.dream.visualize import Climb, visualize
from trtdream.runtime.model import Model

QUICK = Climb(size=32, steps=20)


def test_every_layer_and_every_channel(tiny: Model) -> None:
    assert [one.unit.value for one in every_layer(tiny)] == ["colours", "edges", "both", "pool", "score"]
    assert [one.unit.channel for one in every_channel(tiny, "both")] == [0, 1, 2, 3, 4, 5]
    assert [one.unit.channel for one in every_channel(tiny, "both", [5, 1])] == [5, 1]


def test_plates_are_the_units_own(tiny: Model) -> None:
    told: list[int] = []
    atlas = make_atlas(tiny, every_channel(tiny, "colours", [RED, GREEN]), QUICK, on_step=told.append)
    assert told == [2] * 20
    alone = visualize(tiny, [every_channel(tiny, "colours", [GREEN])[0].unit], QUICK)
    assert [plate.title for plate in atlas.plates] == ["0", "1"]
    assert np.abs(atlas.plates[1].picture.astype(int) - alone.pictures[0]).max() <= 1


def test_a_layer_that_fails_and_ctrl_c(tiny: Model) -> None:
    silent = {
        name: tuple(np.zeros_like(each) for each in arrays) if name == "edges" else arrays
        for name, arrays in tiny.weights.layers.items()
    }
    deaf = replace(tiny, weights=replace(tiny.weights, layers=silent))
    atlas = make_atlas(deaf, every_layer(deaf), QUICK)
    assert len(atlas.plates) == 4
    assert [title for title, _ in atlas.failed] == [one.title for one in every_layer(deaf) if one.unit.value == "edges"]

    steps: list[int] = []

    def stop(_: int) -> None:
        steps.append(1)
        if len(steps) == 2 * QUICK.steps + 5:
            raise KeyboardInterrupt

    left = make_atlas(tiny, every_layer(tiny), QUICK, on_step=stop)
    assert left.interrupted
    assert len(left.plates) == 2


def test_sheet_and_page(tiny: Model, tmp_path: Path) -> None:
    atlas = make_atlas(tiny, every_channel(tiny, "both"), QUICK)
    write_atlas(tmp_path / "a.png", tmp_path / "a.html", "tiny <both>", atlas, {"network": "tiny"})
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.size == (3 * 38 + 6, 2 * 52 + 6)
    page = (tmp_path / "a.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 6
    assert "tiny &lt;both&gt;" in page
    assert not re.search(r'(src|href)="(?!data:)', page)  # nothing from elsewhere
