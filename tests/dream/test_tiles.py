"""A step's gradient in tiles is the gradient of the whole picture, at tile borders as elsewhere."""

import numpy as np
import pytest
import torch

from trtdream.dream.engine import WholeEngine
from trtdream.dream.objectives import guide, l2, mean, neuron
from trtdream.dream.tiles import TiledEngine, Tiling
from trtdream.errors import UsageError
from trtdream.net.torch_module import TorchNet
from trtdream.runtime.open_model import bundled

LAYERS = ("conv2/3x3@conv2/3x3", "inception_3b/5x5_reduce@inception_3b/5x5_reduce", "inception_4c/output")


@pytest.fixture(scope="module")
def module() -> TorchNet:
    """The bundled GoogLeNet, real weights, up to the farthest layer asked for."""
    return bundled().module(["inception_4c/output"])


def photograph(height: int, width: int) -> torch.Tensor:
    """Something between noise and a picture, as a blob."""
    generator = torch.Generator().manual_seed(height)
    coarse = torch.randn(1, 3, height // 9 + 2, width // 9 + 2, generator=generator)
    return 50 * torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear") + 8 * torch.randn(
        1, 3, height, width, generator=generator
    )


def differences(module: TorchNet, objective, size, tile):  # type: ignore[no-untyped-def]
    data = photograph(*size).contiguous(memory_format=torch.channels_last)
    score, whole = WholeEngine(module, objective)(data)
    tiling = Tiling.of(module.graph, objective)
    tiled_score, tiled = TiledEngine(module, objective, tiling, tile)(data)
    assert tiled_score.item() == pytest.approx(score.item(), rel=1e-4)
    return whole, (tiled - whole).norm(dim=1)[0], tiling


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("size", "tile"), [((301, 333), 128), ((147, 405), 256)])
def test_a_tiled_gradient_is_the_gradient(module: TorchNet, layer: str, size: tuple[int, int], tile: int) -> None:
    whole, off, tiling = differences(module, l2(layer), size, tile)
    assert off.norm() < 2e-3 * whole.norm()
    align = tiling.align[0]
    block = tile // align * align
    rows, columns = (torch.arange(length) % block for length in size)
    border = torch.zeros(size, dtype=torch.bool)
    border[(rows < 8) | (rows >= block - 8)] = True
    border[:, (columns < 8) | (columns >= block - 8)] = True
    scale = whole.norm() / np.sqrt(size[0] * size[1])
    at_border, elsewhere = (off[where].square().mean().sqrt() / scale for where in (border, ~border))
    assert at_border < max(3 * elsewhere, 1e-4)


def test_other_objectives_and_sums_in_tiles(module: TorchNet) -> None:
    """Averages, a neuron, a guide's best match and two layers of different strides."""
    values = ["inception_3b/output", "inception_4c/output"]
    with torch.no_grad():
        features = module(photograph(120, 100), values)
    objective = (
        guide(values[0], features[values[0]])
        + 1e6 * mean(values[1], [3, 4])
        + -1e4 * neuron(values[1], [7], (0.3, 0.9))
        + 0.5 * l2(values[1])
    )
    whole, off, _ = differences(module, objective, (203, 261), 96)
    assert off.norm() < 2e-3 * whole.norm()


def test_what_sees_the_whole_picture_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cannot be tiled.*loss3/classifier"):
        Tiling.of(bundled().graph, l2(bundled().resolve("loss3/classifier")[1]))
