"""The two forms of the last step give the same numbers, those of a plain numpy rendering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from trtdream.data.finish import Finish, Recycled, coloured
from trtdream.data.transform import Placement, Transform

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
RANDOM = np.random.RandomState(0)
PIXELS = RANDOM.randint(0, 256, (9, 3, 20, 24)).astype(np.uint8)
PLACEMENT = Placement(RANDOM.randint(0, 5, 9), RANDOM.randint(0, 9, 9), np.arange(9) % 2 == 1)


@pytest.fixture(params=["image", "values", "none"])
def transform(request: pytest.FixtureRequest, tmp_path: Path) -> Transform:
    if request.param == "image":
        np.save(tmp_path / "mean.npy", RANDOM.uniform(0, 255, (3, 20, 24)).astype(np.float32))
        return Transform(resize="none", crop=16, mean_file=tmp_path / "mean.npy", scale=0.5)
    return Transform(resize="none", crop=16, mean_value=(104.0, 117.0, 123.0) if request.param == "values" else ())


def plainly(transform: Transform) -> np.ndarray:
    mean = transform.mean(3, 20, 24)
    full = PIXELS.astype(np.float32) - (0 if mean is None else mean)
    rows = [full[i, :, y : y + 16, x : x + 16] for i, (y, x) in enumerate(zip(PLACEMENT.y, PLACEMENT.x, strict=True))]
    flipped = [row[:, :, ::-1] if mirror else row for row, mirror in zip(rows, PLACEMENT.mirror, strict=True)]
    return np.stack(flipped) * np.float32(transform.scale)


@pytest.mark.parametrize("device", DEVICES)
def test_crop_mirror_mean_scale(transform: Transform, device: str) -> None:
    finish = Finish(transform, (3, 20, 24), torch.device(device), torch.float32)
    made = finish(torch.from_numpy(PIXELS).to(device), PLACEMENT)
    assert np.array_equal(made.cpu().numpy(), plainly(transform))


@pytest.mark.parametrize("layout", ["planar", "interleaved"])
@pytest.mark.parametrize("jitter", [False, True])
def test_the_gather_of_a_gpu_equals_the_loop_of_a_cpu(transform: Transform, layout: str, jitter: bool) -> None:
    """The GPU's form, run here on the CPU; interleaved is how DALI hands pixels over."""
    pixels = torch.from_numpy(PIXELS)
    if layout == "interleaved":
        pixels = pixels.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    colours = RANDOM.uniform(0.6, 1.4, (9, 3)).astype(np.float32) if jitter else None
    finish = Finish(transform, (3, 20, 24), torch.device("cpu"), torch.float32)
    each, gathered = finish._each(pixels, PLACEMENT, colours), finish._gathered(pixels, PLACEMENT, colours)
    assert torch.allclose(each, gathered, rtol=0, atol=1e-4 if jitter else 0)


def test_colours() -> None:
    """Each factor against its definition, by hand on two pixels."""
    pixels = torch.tensor([[10.0, 30.0], [20.0, 60.0], [40.0, 80.0]]).reshape(1, 3, 1, 2)  # B, G, R
    luma = [0.114 * 10 + 0.587 * 20 + 0.299 * 40, 0.114 * 30 + 0.587 * 60 + 0.299 * 80]

    def factors(*values: float) -> np.ndarray:
        return np.array([values], np.float32)

    assert coloured(pixels, factors(1, 1, 1)).allclose(pixels)
    assert coloured(pixels, factors(1.5, 1, 1)).allclose(pixels * 1.5)
    assert coloured(pixels, factors(9, 1, 1)).max() == 255
    level = sum(luma) / 2
    assert coloured(pixels, factors(1, 0.5, 1)).allclose(level + (pixels - level) * 0.5, atol=1e-4)
    grey = torch.tensor(luma).reshape(1, 1, 1, 2)
    assert coloured(pixels, factors(1, 1, 0.25)).allclose(grey + (pixels - grey) * 0.25, atol=1e-4)


def test_buffers_are_used_again_only_when_nobody_holds_them() -> None:
    """A tensor, a view of it, or a detached one each keep the buffer; dropped, it comes back."""
    buffers = Recycled()
    held = torch.from_numpy(buffers.take((2, 3)))
    place = held.data_ptr()
    assert buffers.take((2, 3)).ctypes.data != place
    view = held[1:].detach()
    del held
    assert buffers.take((2, 3)).ctypes.data != place
    del view
    assert buffers.take((2, 3)).ctypes.data == place
    assert buffers.take((4, 3)).shape == (4, 3)


def test_batches_that_are_kept_are_not_overwritten(transform: Transform) -> None:
    finish = Finish(transform, (3, 20, 24), torch.device("cpu"), torch.float32)
    kept = [finish(torch.from_numpy(PIXELS), PLACEMENT) for _ in range(12)]
    copies = [batch.clone() for batch in kept]
    finish(torch.from_numpy(255 - PIXELS), PLACEMENT)
    assert all(torch.equal(batch, copy) for batch, copy in zip(kept, copies, strict=True))
