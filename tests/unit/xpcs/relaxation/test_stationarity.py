"""The non-equilibrium index: zero in equilibrium, growing with the change of rate."""

import tracemalloc

import numpy as np
import pytest

from ainerd_bluesky.errors import TwoTimeError
from ainerd_bluesky.xpcs import two_time_map
from ainerd_bluesky.xpcs.relaxation.stationarity import non_equilibrium_index

N_FRAMES = 200
TIME = np.arange(N_FRAMES)


def map_of_rate(rate, beta=0.2):
    warped = np.cumsum(rate)
    return 1 + beta * np.exp(-2 * np.abs(warped[:, None] - warped))


def stepped(ratio):
    """Map of a rate that falls to one over the ratio in the middle."""
    rates = 0.1 * np.array([ratio, 1 / ratio]) ** 0.5
    return map_of_rate(np.repeat(rates, N_FRAMES // 2))


@pytest.mark.parametrize("rate", [1e-6, 0.01, 0.3], ids=["static", "slow", "fast"])
def test_equilibrium_has_index_zero(rate):
    index, _ = non_equilibrium_index(map_of_rate(np.full(N_FRAMES, rate)))
    assert index == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 2.0, 4.0])
def test_index_tells_how_much_slower_the_second_half_is(ratio):
    index, _ = non_equilibrium_index(stepped(ratio))
    assert index == pytest.approx((ratio - 1) / (ratio + 1), abs=0.12)


def test_large_map_has_the_index_of_a_small_one(rng):
    small = stepped(3.0)
    index, _ = non_equilibrium_index(small)
    large = np.kron(small, np.ones((6, 6), np.float32))
    large += rng.normal(0, 0.02, large.shape)
    large[601] = large[:, 601] = np.nan
    tracemalloc.start()
    try:
        found, error = non_equilibrium_index(large)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert abs(found - index) < max(3 * error, 0.02)
    assert peak < 4 * large.nbytes


def test_index_grows_with_the_aging_exponent():
    indices = [
        non_equilibrium_index(map_of_rate(0.3 * (1 + TIME / 50) ** -mu))[0]
        for mu in (0.0, 0.5, 1.0, 2.0)
    ]
    assert np.all(np.diff(indices) > 0.1)
    assert indices[-1] < 1


def test_time_backwards_turns_the_sign():
    index, _ = non_equilibrium_index(stepped(3.0))
    backwards, _ = non_equilibrium_index(stepped(3.0)[::-1, ::-1])
    assert backwards == pytest.approx(-index)


def test_contrast_drops_out():
    index, _ = non_equilibrium_index(map_of_rate(0.3 * (1 + TIME / 50) ** -1.0, 0.02))
    expected, _ = non_equilibrium_index(map_of_rate(0.3 * (1 + TIME / 50) ** -1.0, 0.5))
    assert index == pytest.approx(expected, abs=0.02)


def test_static_background_drops_out():
    expected, _ = non_equilibrium_index(stepped(3.0))
    index, _ = non_equilibrium_index(stepped(3.0) + 0.05)
    assert index == pytest.approx(expected, abs=1e-3)


def test_measured_equilibrium_is_zero_within_three_errors(speckle_counts):
    counts = speckle_counts(N_FRAMES, 2000, 20.0)
    index, error = non_equilibrium_index(two_time_map(counts))
    assert abs(index) < 3 * error
    assert 0.005 < error < 0.05


def test_missing_frames_are_left_out():
    two_time = stepped(3.0)
    expected, _ = non_equilibrium_index(two_time)
    two_time[[20, 130]] = np.nan
    two_time[:, [20, 130]] = np.nan
    index, error = non_equilibrium_index(two_time)
    assert index == pytest.approx(expected, abs=0.02)
    assert np.isfinite(error)


def test_real_aging_is_many_errors_away_from_zero(shared_data):
    two_time = np.load(shared_data / "chx_aging" / "two_time.npy")
    index, error = non_equilibrium_index(two_time)
    assert abs(index) > 4 * error


@pytest.mark.parametrize(
    "two_time",
    [np.ones((64, 64)), np.full((64, 64), np.nan), np.ones((2, 2))],
    ids=["flat", "nan", "tiny"],
)
def test_map_without_contrast_has_no_index(two_time):
    assert np.isnan(non_equilibrium_index(two_time)).all()


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_index_needs_a_square_map(shape):
    with pytest.raises(TwoTimeError, match="must have shape"):
        non_equilibrium_index(np.ones(shape))
