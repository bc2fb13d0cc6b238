from __future__ import annotations

import pytest

from trtdream.bench.headline import beside
from trtdream.bench.history import comparable, figures
from trtdream.bench.results import Row
from trtdream.bench.timing import Timing


def timing(milliseconds: float) -> Timing:
    return Timing(milliseconds, milliseconds, milliseconds, milliseconds, 0.0, 5, 3)


def test_figures_are_those_published() -> None:
    """26.5 s a K40's 20 iterations of 256; K40c, GoogLeNet of 128: 562.841 ms forward, 1688.8 in all."""
    assert [round(figure.ms_per_image, 2) for figure in figures("caffenet", "step")] == [5.18, 7.03]
    assert [figure.ms_per_image for figure in figures("googlenet", "forward")] == [pytest.approx(4.397, abs=1e-3)]
    assert [figure.ms_per_image for figure in figures("googlenet", "forward + backward")] == [
        pytest.approx(13.19, abs=5e-3)
    ]


@pytest.mark.parametrize(("batch", "ratio"), [(256, 0.5), (8, None)])
def test_a_ratio_only_beside_the_same_batch(batch: int, ratio: float | None) -> None:
    row = Row("caffenet", "forward", timing(batch * 1.0), extra={"images": batch, "ms_per_image": 1.0})
    (found,) = beside(row)
    assert found.ratio == ratio
    assert "K40" in found.text
    assert "BVLC/caffe" in found.source


def test_no_figure_without_a_batch_is_comparable() -> None:
    (figure,) = figures("dream", "picture 540 x 360")
    assert not comparable(figure, 1)


def test_nothing_beside_what_was_not_measured() -> None:
    assert beside(Row("caffenet", "step", None, "no")) == []
