"""Noise of a map: its model against simulated maps."""

import numpy as np
import pytest

from ainerd_bluesky.xpcs import two_time_map
from ainerd_bluesky.xpcs.relaxation.map_noise import block_sums, map_noise
from ainerd_bluesky.xpcs.simulate.speckle import simulate_counts

N_FRAMES, N_PIXELS, N_REPLICAS = 60, 300, 100
TIME = np.arange(N_FRAMES)
LAG = np.abs(TIME[:, None] - TIME)
AGE = (TIME[:, None] + TIME) / 2


def near_diagonal():
    return np.where((LAG > 0) & (LAG < 10), 1.0, 0.0)


def later_minus_earlier():
    return near_diagonal() * np.sign(AGE - (N_FRAMES - 1) / 2)


def far_away():
    return np.where(LAG > 30, 1.0, 0.0)


@pytest.mark.parametrize("weights", [near_diagonal, later_minus_earlier, far_away])
@pytest.mark.parametrize(
    ("tau", "n_modes", "mean_photons"),
    [(10.0, 2, 0.05), (10.0, 2, 2.0), (100.0, 2, 2.0)],
    ids=["photons", "fast", "slow"],
)
def test_error_of_a_weighted_sum_is_its_scatter(
    rng, tau, n_modes, mean_photons, weights
):
    field = np.exp(-LAG / tau)
    counts = simulate_counts(
        field.astype(np.float32),
        N_PIXELS * N_REPLICAS,
        n_modes=n_modes,
        mean_photons=mean_photons,
        rng=rng,
    )
    maps = [two_time_map(one) for one in np.split(counts, N_REPLICAS, axis=1)]
    sums = [np.sum(np.triu(weights(), 1) * one_map) for one_map in maps]
    noise = map_noise(maps[0], field**2, 1 / n_modes, 1.0)
    error = np.sqrt(noise.variance(block_sums(weights())))
    # 100 replicas tell a standard deviation to 7 %, one map its noise to as much.
    assert error == pytest.approx(np.std(sums), rel=0.35)


def test_pixels_of_a_map_are_counted(rng):
    field = np.exp(-LAG / 10.0)
    counts = simulate_counts(
        field.astype(np.float32), N_PIXELS, n_modes=2, mean_photons=1.0, rng=rng
    )
    noise = map_noise(two_time_map(counts), field**2, 0.5, 1.0)
    assert noise.n_pixels == pytest.approx(N_PIXELS, rel=0.2)
    assert noise.shot_noise == pytest.approx(1.0, rel=0.2)


def test_long_map_is_taken_in_blocks():
    field = np.exp(-np.abs(np.subtract.outer(np.arange(250), np.arange(250))) / 50.0)
    noise = map_noise(1 + 0.5 * field, field, 0.5, 1.0)
    assert noise.width == 3
    assert noise.correlation.shape == (84, 84)
    assert block_sums(np.ones((250, 250)))[-1, -1] == 1
