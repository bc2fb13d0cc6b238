from pathlib import Path

import numpy as np
import pytest

from tests.dream.tiny import RED, tiny_model
from trtdream.dream.units import Unit
from trtdream.dream.visualize import Climb, visualize


@pytest.mark.gpu
def test_a_gpu_sees_what_a_cpu_sees(tmp_path: Path) -> None:
    """The same noise and the same views, drawn on the CPU: the same picture, but for rounding."""
    model, climb = tiny_model(tmp_path), Climb(size=32, steps=30)
    on_cpu, on_gpu = (visualize(model, [Unit("pool", RED)], climb, device) for device in ("cpu", "cuda"))
    assert on_gpu.last == pytest.approx(on_cpu.last, rel=1e-2)
    assert np.abs(on_gpu.pictures.astype(int) - on_cpu.pictures).max() <= 3
