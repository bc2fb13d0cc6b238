from __future__ import annotations

import importlib.util

import pytest
import torch

from trtdream.bench.nettime import launch_bound
from trtdream.bench.nvml import Watch


def test_nothing_is_read_for_the_cpu() -> None:
    with Watch("cpu") as watch:
        pass
    assert watch.document == {"absent": "no GPU is measured"}
    assert watch.doubts == ()


@pytest.mark.skipif(importlib.util.find_spec("pynvml") is not None, reason="nvidia-ml-py is installed")
def test_without_the_package_that_is_said() -> None:
    with Watch("cuda") as watch:
        pass
    assert watch.document == {"absent": "nvidia-ml-py is not installed"}


@pytest.mark.gpu
def test_clocks_of_a_gpu() -> None:
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    a = torch.ones(4096, 4096, device="cuda")
    with Watch("cuda") as watch:
        for _ in range(200):
            a @ a
        torch.cuda.synchronize()
        torch.cuda._sleep(10**9)  # cycles: half a second or more
        torch.cuda.synchronize()
    assert 0 < watch.document["least_mhz"] <= watch.document["most_mhz"] <= watch.document["limit_mhz"]


@pytest.mark.parametrize(("issuing", "doubted"), [(0.9, True), (0.8, False), (0.1, False)])
def test_launch_bound_from_four_fifths_of_the_time(issuing: float, doubted: bool) -> None:
    assert bool(launch_bound(issuing, 1.0)) is doubted
