from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.dream.tiny import BLUE, DEAD, GREEN, RED
from trtdream.dream.spectrum import COLOURS, noise_spectrum, picture_from_spectrum
from trtdream.dream.units import Unit, responses, values_before_relu
from trtdream.dream.views import GREY, Wobble, random_view, to_blob, view
from trtdream.dream.visualize import Climb, visualize
from trtdream.errors import InputRefused, UsageError
from trtdream.runtime.model import Model
from trtdream.runtime.preprocess import Preprocess, preprocess

QUICK = Climb(size=32, steps=30)


def test_spectrum_is_a_picture_by_its_definition() -> None:
    """Each colour a sum of waves, each wave divided by its frequency, mixed by the colours' axes, through a sigmoid."""
    size = 16
    spectrum = 3 * noise_spectrum(size, seed=1)
    coefficients = spectrum[0, ..., 0].double().numpy() + 1j * spectrum[0, ..., 1].double().numpy()
    down, across = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    weighted = coefficients * size / np.maximum(np.hypot(down, across), 1 / size)
    plain = 0.25 * np.stack([np.fft.irfft2(each, s=(size, size)) for each in weighted])
    axes = np.array(COLOURS)
    mixed = np.einsum("rc,chw->rhw", axes / np.linalg.norm(axes, axis=0).max(), plain)
    wanted = 1 / (1 + np.exp(-mixed))
    np.testing.assert_allclose(picture_from_spectrum(spectrum, size)[0].numpy(), wanted, atol=1e-5)
    assert wanted.std() > 0.001


def test_colours_are_principal_axes() -> None:
    """At right angles, the longest first, and that one the brightness (all of one sign)."""
    axes = np.array(COLOURS)
    lengths = np.linalg.norm(axes, axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.diag(lengths**2), atol=1e-5)
    assert list(lengths) == sorted(lengths, reverse=True)
    assert (axes[:, 0] < 0).all()


def test_view_shifts_and_turns() -> None:
    picture = torch.rand((1, 3, 20, 20), generator=torch.Generator().manual_seed(0))
    same = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    torch.testing.assert_close(view(picture, same, 20), picture)
    shifted = view(picture, torch.tensor([[[1.0, 0, 2 * 3 / 20], [0, 1, 2 * 5 / 20]]]), 20)  # 3 across, 5 down
    torch.testing.assert_close(shifted[:, :, :15, :17], picture[:, :, 5:, 3:])
    torch.testing.assert_close(shifted[:, :, 15:], torch.full((1, 3, 5, 20), GREY))
    turned = view(picture, torch.tensor([[[0.0, -1, 0], [1, 0, 0]]]), 20)
    torch.testing.assert_close(turned, picture.rot90(1, (2, 3)), atol=1e-5, rtol=0)


def test_views_stay_within_the_wobble() -> None:
    generator, wobble = torch.Generator().manual_seed(0), Wobble(shift=4, turn=10, scale=0.1)
    maps = torch.cat([random_view(wobble, 40, generator) for _ in range(200)])
    scale = torch.linalg.det(maps[:, :, :2]).sqrt()
    assert 0.9 <= scale.min() < 0.92 < 1.08 < scale.max() <= 1.1
    turn = torch.rad2deg(torch.atan2(maps[:, 1, 0], maps[:, 0, 0])).abs()
    assert 9 < turn.max() <= 10
    assert 3.8 / 20 < maps[:, :, 2].abs().max() <= 4 / 20


@pytest.mark.parametrize("channels", ["BGR", "RGB", "GREY"])
def test_blobs_are_those_of_preprocess(channels: str) -> None:
    mean = np.array([104, 117, 123] if channels != "GREY" else [110], np.float32)
    spec = Preprocess((5, 7), None, mean, 0.5, channels)
    picture = np.random.default_rng(0).random((5, 7, 3)).astype(np.float32)
    blob = to_blob(torch.from_numpy(picture).permute(2, 0, 1)[None], spec)
    np.testing.assert_allclose(blob[0].numpy(), preprocess(picture * 255, spec), atol=1e-4)


def test_responses_by_their_definition(tiny: Model) -> None:
    values = torch.rand((3, 6, 4, 5), generator=torch.Generator().manual_seed(0))
    units = [Unit("both", 2), Unit("both", 1, (0.5, 0.99)), Unit("both")]
    found = {"both": values}
    wanted = torch.stack([values[0, 2].mean(), values[1, 1, 3, 2], (values[2] ** 2).mean()])
    torch.testing.assert_close(responses(units, found, tiny.graph), wanted)


def test_a_silent_channel_counts_before_its_relu(tiny: Model) -> None:
    assert values_before_relu(tiny.graph, "pool") == ["colours@colours", "edges"]
    module = tiny.module(["pool", "colours@colours", "edges"])
    data = torch.zeros((2, 3, 32, 32), requires_grad=True)
    found = module(data, ["pool", "colours@colours", "edges"])
    answers = responses([Unit("pool", DEAD), Unit("pool", DEAD)], found, tiny.graph)
    torch.testing.assert_close(answers, torch.tensor([-10.0, -10.0]))  # its bias
    (gradient,) = torch.autograd.grad(answers.sum(), data)
    assert gradient.abs().min() > 0


def test_pictures_show_what_the_channels_are_made_for(tiny: Model) -> None:
    made = visualize(tiny, [Unit("colours", channel) for channel in (RED, GREEN, BLUE)], replace(QUICK, steps=100))
    assert made.pictures.shape == (3, 32, 32, 3)
    assert [picture.mean((0, 1)).argmax() for picture in made.pictures] == [0, 1, 2]
    assert all(last > first + 0.05 for first, last in zip(made.first, made.last, strict=True))


def test_a_batch_is_its_pictures_one_by_one(tiny: Model) -> None:
    units = [Unit("pool", channel) for channel in (RED, 4, DEAD)]
    together = visualize(tiny, units, QUICK).pictures.astype(int)
    for unit, picture in zip(units, together, strict=True):
        alone = visualize(tiny, [unit], QUICK).pictures[0]
        assert np.abs(alone - picture).max() <= 1, unit


def test_same_seed_same_picture(tiny: Model) -> None:
    a, b, c = (visualize(tiny, [Unit("both")], replace(QUICK, seed=seed)).pictures for seed in (1, 1, 2))
    assert (a == b).all()
    assert (a != c).any()


def test_inner_products_are_shown_the_nets_size(tiny: Model) -> None:
    for size in (48, 16):
        made = visualize(tiny, [Unit("score", 1)], Climb(size=size, steps=20))
        assert made.pictures.shape == (1, size, size, 3)
        assert made.last[0] > made.first[0]


def test_ctrl_c_keeps_the_picture(tiny: Model) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    made = visualize(tiny, [Unit("both")], QUICK, on_step=stop)
    assert made.interrupted
    assert made.pictures.shape == (1, 32, 32, 3)


def test_refusals(tiny: Model) -> None:
    with pytest.raises(UsageError, match="0 to 5"):
        visualize(tiny, [Unit("both", 6)], QUICK)
    with pytest.raises(UsageError, match="no map"):
        visualize(tiny, [Unit("score", 1, (0.5, 0.5))], QUICK)
    with pytest.raises(UsageError, match="--channel"):
        Unit("both", None, (0.5, 0.5))
    with pytest.raises(UsageError, match="0 to 1"):
        Unit("both", 1, (1.5, 0.5))
    with pytest.raises(UsageError, match="--size 4"):
        Climb(size=4)
    with pytest.raises(InputRefused, match="zero everywhere"):
        _visualize_silence(tiny)


def _visualize_silence(tiny: Model) -> None:
    """A network whose weights are all zero."""
    weights = {name: tuple(np.zeros_like(each) for each in arrays) for name, arrays in tiny.weights.layers.items()}
    visualize(replace(tiny, weights=replace(tiny.weights, layers=weights)), [Unit("both")], QUICK)
