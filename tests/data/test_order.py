import numpy as np
import pytest

from trtdream.data.order import Dice, Order, below, bits, fraction


def test_splitmix64() -> None:
    """The published first outputs of SplitMix64 from state 1234567 (Java's SplittableRandom, Vigna's splitmix64.c)."""
    from trtdream.data import order

    state = np.uint64(1234567)
    with np.errstate(over="ignore"):
        made = [int(order._mix(state + order._GOLDEN * np.uint64(k + 1))) for k in range(5)]
    assert made == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_bits_depend_on_seed_position_and_purpose_only() -> None:
    positions = np.arange(1000)
    whole = bits(7, positions, Dice.CROP_X)
    assert (bits(7, positions[300:310], Dice.CROP_X) == whole[300:310]).all()
    assert len({*whole, *bits(8, positions, Dice.CROP_X), *bits(7, positions, Dice.CROP_Y)}) == 3000


def test_draws_are_uniform() -> None:
    """Chi-squared of 30 bins (29 degrees of freedom): 58.3 is passed once in a thousand seeds."""
    drawn = below(30, bits(1, np.arange(30_000), Dice.CROP_Y))
    counts = np.bincount(drawn, minlength=30)
    assert ((counts - 1000) ** 2 / 1000).sum() < 58.3
    assert abs(fraction(bits(1, np.arange(30_000), Dice.AREA)).mean() - 0.5) < 0.01


@pytest.mark.parametrize("shuffle", [True, False])
def test_each_epoch_has_every_sample_once(shuffle: bool) -> None:
    order = Order(37, seed=5, shuffle=shuffle)
    stream = order.indices(np.arange(4 * 37))
    epochs = stream.reshape(4, 37)
    assert (np.sort(epochs, axis=1) == np.arange(37)).all()
    assert (len({tuple(epoch) for epoch in epochs}) == 4) is shuffle
    if not shuffle:
        assert (epochs == np.arange(37)).all()


def test_a_window_is_part_of_the_stream() -> None:
    """Also across the end of an epoch, and read backwards."""
    whole = Order(10, seed=2, shuffle=True).indices(np.arange(100))
    other = Order(10, seed=2, shuffle=True)
    for start in (95, 47, 8, 0):
        assert (other.indices(np.arange(start, min(start + 15, 100))) == whole[start : start + 15]).all()


def test_the_shuffle_is_over_the_whole_set() -> None:
    """Samples move far: the mean distance of a uniform permutation is a third of the set."""
    moved = abs(Order(3000, seed=0, shuffle=True).indices(np.arange(3000)) - np.arange(3000))
    assert abs(moved.mean() / 3000 - 1 / 3) < 0.02
