from __future__ import annotations

import pytest

from trtdream.bench.headline import beside
from trtdream.bench.history import comparable, figures


def test_figures_are_those_published() -> None:
    """26.5 s a K40's 20 iterations of 256; K40c, GoogLeNet of 128: 562.841 ms forward, 1688.8 in all."""
    assert [round(figure.ms_per_image, 2) for figure in figures("caffenet", "step")] == [5.18, 7.03]
    assert [figure.ms_per_image for figure in figures("googlenet", "forward")] == [pytest.approx(4.397, abs=1e-3)]
    k40c = figures("googlenet", "forward + backward")[0]
    assert k40c.ms_per_image == pytest.approx(13.19, abs=5e-3)


@pytest.mark.parametrize(("batch", "ratio"), [(256, 0.5), (8, None)])
def test_a_ratio_only_beside_the_same_batch(batch: int, ratio: float | None) -> None:
    (found,) = beside("caffenet", "forward", {"images": batch, "ms_per_image": 1.0})
    assert found.ratio == ratio
    assert "K40" in found.where
    assert "BVLC/caffe" in found.source


def test_no_figure_without_a_batch_is_comparable() -> None:
    (figure,) = figures("dream", "picture 540 x 360")
    assert not comparable(figure, 1)


def test_nothing_beside_what_was_not_measured() -> None:
    assert beside("caffenet", "step", {"absent": "no"}) == []


def test_inference_is_held_against_its_own_precision() -> None:
    """P40: 594 images/s with int8 and batch 1."""
    row = {"images": 1, "ms_per_image": 1.0, "precision": "int8"}
    ratios = {found.where: found.ratio for found in beside("googlenet", "inference, TensorRT, int8", row)}
    assert ratios["P40, TensorRT, batch 1"] == pytest.approx(0.594)
    assert [ratio for where, ratio in ratios.items() if not where.endswith("batch 1")] == [None, None]
