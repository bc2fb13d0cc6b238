"""Single layers against real Caffe."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.net.layer_truth import load_cases, worst
from trtdream.net.kind import Phase
from trtdream.net.kinds.pooling import Pooling
from trtdream.net.maths.lrn import across_channels_plain


def test_pooling_is_exact(truth: Path) -> None:
    """Maxima, averages, masks, ties, sizes and gradients, empty windows included (Caffe has no gradient there)."""
    cases = load_cases(truth / "layers/pooling.npz")
    with_gradients = 0
    for case in cases:
        outputs, gradients = case.run()
        for name, found in outputs.items():
            np.testing.assert_array_equal(found, case.items[name], err_msg=f"{case} {name}")
        for name, found in gradients.items():
            np.testing.assert_array_equal(found, case.items[name], err_msg=f"{case} {name}")
            with_gradients += 1
    assert with_gradients >= 306


def test_pooling_sizes(truth: Path) -> None:
    lines = (truth / "layers/pooling_shapes.csv").read_text().splitlines()
    header = lines[0].split(",")
    assert len(lines) > 100
    for line in lines[1:]:
        row = dict(zip(header, line.split(","), strict=True))
        kind = Pooling(kernel_size=int(row["kernel"]), stride=int(row["stride"]), pad=int(row["pad"]))
        shape = kind.top_shapes([(1, 1, int(row["in_h"]), int(row["in_w"]))], 1)[0]
        assert shape[2:] == (int(row["out_h"]), int(row["out_w"])), line


@pytest.mark.parametrize(("file", "tolerance"), [("conv", 1e-6), ("other", 1e-6), ("lrn", 2.5e-6)])
def test_layers(truth: Path, file: str, tolerance: float) -> None:
    """Relative to each array's maximum. For LRN gradients, Caffe's float32 is itself 2.2e-6 from float64."""
    for case in load_cases(truth / f"layers/{file}.npz"):
        if case.name == "dropout_train":
            continue
        outputs, gradients = case.run()
        for name, found in {**outputs, **gradients}.items():
            assert worst(found, case.items[name]) < tolerance, (case.name, name)


def test_lrn_in_both_forms(truth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = load_cases(truth / "layers/lrn.npz")
    banded = [case.run()[0] for case in cases]
    monkeypatch.setattr("trtdream.net.maths.lrn.across_channels", across_channels_plain)
    plain = [case.run()[0] for case in cases]
    for case, one, other in zip(cases, banded, plain, strict=True):
        for name in one:
            assert worst(one[name], case.items[name]) < 2e-6, case.name
            assert worst(other[name], case.items[name]) < 2e-6, case.name


def test_dropout_scales_what_it_keeps(truth: Path) -> None:
    """The masks differ (random numbers are torch's), the two values a factor can have must not."""
    (case,) = (c for c in load_cases(truth / "layers/other.npz") if c.name == "dropout_train")
    torch.manual_seed(0)
    outputs, _ = case.run(Phase.TRAIN)
    factors, caffes = (
        np.unique(np.round(top / case.items["in_x"], 4)) for top in (outputs["out_y"], case.items["out_y"])
    )
    np.testing.assert_array_equal(np.abs(factors), np.abs(caffes))
    zeros = float((outputs["out_y"] == 0).mean())
    assert abs(zeros - 0.7) < 0.06  # 1500 numbers: five standard deviations
