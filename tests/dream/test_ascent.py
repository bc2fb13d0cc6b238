"""Steps, rules and normalisers against their definitions."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trtdream.dream.ascent import Adam, Ascent, Bounds, Momentum, rolled, total_variation_gradient
from trtdream.dream.normalise import NORMALISERS
from trtdream.dream.octaves import strength_at
from trtdream.dream.recorded import RecordedAscent, rolled_on_device
from trtdream.recipe.dream_schema import Settings

BOUNDS = Bounds(torch.full((1, 3, 1, 1), -100.0), torch.full((1, 3, 1, 1), 150.0))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Bowl:
    """An engine whose objective is the sum of x^3 / 3: its gradient, x^2, is known."""

    def __call__(self, data: Tensor) -> tuple[Tensor, Tensor]:
        return (data**3).sum((1, 2, 3)) / 3, data.square()


def ascent(settings: Settings, data: Tensor, size: float = 2.0, mask: Tensor | None = None) -> Ascent:
    made = Ascent(Bowl(), data, settings, size, BOUNDS, mask)
    made.begin(data)
    return made


@pytest.mark.parametrize(
    ("name", "strength"), [("mean", lambda g: np.abs(g).mean()), ("rms", lambda g: np.sqrt((g**2).mean()))]
)
def test_a_step_by_hand(name: str, strength) -> None:  # type: ignore[no-untyped-def]
    data = 3 * noise(1, 3, 7, 5)
    made = ascent(Settings(normalise=name), data)
    told = made.step((2, -3))  # rolling to and fro changes nothing of a gradient that knows no neighbours
    slope = data.numpy().astype(np.float64) ** 2
    np.testing.assert_allclose(made.data.numpy(), data.numpy() + 2 * slope / strength(slope), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(told.numpy(), [[(data.double() ** 3).sum() / 3], [strength(slope)]], rtol=1e-3)


def test_laplacian_levels_are_equally_strong() -> None:
    """A weak coarse wave under strong fine noise: dividing by the whole would leave the wave weak."""
    column = torch.arange(128.0)
    wave = torch.sin(column / 20).expand(1, 3, 128, 128)
    gradient = wave + 50 * noise(1, 3, 128, 128)
    scaled, strength = NORMALISERS["laplacian"](gradient.clone())
    assert strength.item() == pytest.approx(gradient.square().mean().sqrt().item(), rel=1e-4)
    assert scaled.square().mean().item() == pytest.approx(1, rel=1e-4)

    def of_wave(found: Tensor) -> float:
        return float((found * wave).sum() / wave.square().sum())

    assert of_wave(scaled) > 5 * of_wave(NORMALISERS["rms"](gradient.clone())[0])


@pytest.mark.parametrize("name", sorted(NORMALISERS))
def test_no_gradient_is_no_step(name: str) -> None:
    scaled, strength = NORMALISERS[name](torch.zeros(1, 3, 20, 20))
    assert not scaled.any() and strength == 0


def test_momentum_and_adam_by_hand() -> None:
    gradients = [noise(1, 3, 4, 4, seed=seed) for seed in range(4)]
    momentum, adam = Momentum(gradients[0], 0.9), Adam(gradients[0], 0.9)
    velocity = first = second = np.zeros((1, 3, 4, 4))
    for count, gradient in enumerate(gradients, start=1):
        g = gradient.numpy().astype(np.float64)
        velocity = 0.9 * velocity + 0.1 * g
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
        wanted = first / (1 - 0.9**count) / (np.sqrt(second / (1 - 0.999**count)) + 1e-8)
        np.testing.assert_allclose(momentum(gradient).numpy(), velocity, atol=1e-6)
        np.testing.assert_allclose(adam(gradient.clone()).numpy(), wanted, rtol=1e-3, atol=1e-5)
    adam.forget()
    np.testing.assert_allclose(adam(gradients[0]).numpy(), np.sign(gradients[0].numpy()), atol=1e-4)


def test_total_variation_pulls_neighbours_together() -> None:
    data = noise(1, 3, 6, 8).requires_grad_()
    squares = (data[:, :, 1:] - data[:, :, :-1]).square().sum() + (data[..., 1:] - data[..., :-1]).square().sum()
    (gradient,) = torch.autograd.grad(squares, data)
    torch.testing.assert_close(total_variation_gradient(data.detach()), gradient / gradient.abs().mean())


def test_bounds_mask_and_no_number() -> None:
    data = 40 * noise(1, 3, 6, 6)
    mask = torch.zeros(1, 1, 6, 6)
    mask[..., :3] = 1
    made = ascent(Settings(), data, size=1e4, mask=mask)
    made.step((0, 0))
    torch.testing.assert_close(made.data[..., 3:], data[..., 3:].clamp(-100, 150))
    assert made.data.max() == 150
    broken = data.clone()
    broken[0, 0, 0, 0] = float("nan")
    made = ascent(Settings(), data)
    told = made.climb(torch.tensor([1.0]), broken)
    assert not told.isfinite().all()
    torch.testing.assert_close(made.data, data.clamp(-100, 150))


@pytest.mark.parametrize(("down", "right"), [(0, 0), (4, -5), (-3, 0), (0, 12), (-32, 32)])
def test_rolled(down: int, right: int) -> None:
    data = noise(1, 3, 9, 12)
    torch.testing.assert_close(rolled(data, down, right), data.roll((down, right), dims=(2, 3)), rtol=0, atol=0)


def test_the_recorded_step_is_the_step() -> None:
    """What a GPU records, run here as it is: jitter by numbers on the device."""
    data = noise(1, 3, 9, 12)
    for down, right in ((0, 0), (4, -5), (-32, 32)):
        torch.testing.assert_close(
            rolled_on_device(data, torch.tensor(down), torch.tensor(right)), data.roll((down, right), dims=(2, 3))
        )
    plain = ascent(Settings(), data)
    recorded = RecordedAscent(Bowl(), data, Settings(), 2.0, BOUNDS)
    recorded.begin(data)
    told = plain.step((5, -7)), recorded.shifted_step(torch.tensor([5, -7]))
    torch.testing.assert_close(*told)
    torch.testing.assert_close(plain.data, recorded.data)


def test_strength_over_octaves() -> None:
    assert [strength_at((1.0,), octave, 3) for octave in range(3)] == [1, 1, 1]
    assert [strength_at((0.0, 1.0, 0.5), octave, 5) for octave in range(5)] == [0, 0.5, 1, 0.75, 0.5]
    assert strength_at((0.0, 2.0), 0, 1) == 2


@pytest.mark.parametrize("keys", [{}, {"ascent": "adam"}, {"normalise": "laplacian", "tv": 0.3}, {"l2": 0.5}])
def test_steps_of_several_pictures_are_each_ones_own(keys: dict[str, object]) -> None:
    settings = Settings.model_validate(keys)
    pictures = [strength * noise(1, 3, 33, 20, seed=strength) for strength in (1, 20)]
    together = ascent(settings, torch.cat(pictures))
    alone = [ascent(settings, picture) for picture in pictures]
    for shift in ((3, 1), (-2, 7)):
        told = together.step(shift)
        torch.testing.assert_close(told, torch.cat([each.step(shift) for each in alone], 1))
    torch.testing.assert_close(together.data, torch.cat([each.data for each in alone]))
