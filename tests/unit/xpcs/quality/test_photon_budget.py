"""The signal to noise that photons allow, against simulated speckle."""

import numpy as np
import pytest

from ainerd_bluesky.config import QualityConfig
from ainerd_bluesky.xpcs import multi_tau_g2
from ainerd_bluesky.xpcs.quality.checks import check_bin
from ainerd_bluesky.xpcs.quality.photon_budget import expected_signal_to_noise


@pytest.mark.parametrize("mean_photons", [0.02, 0.1])
def test_signal_to_noise_of_g2_is_the_expected_one(speckle_counts, mean_photons):
    counts = speckle_counts(100, 20_000, 10.0, 0.5, mean_photons)
    first = [multi_tau_g2([part]).g2[0, 0] - 1 for part in np.split(counts, 40, axis=1)]
    # The contrast left after one frame.
    contrast = 0.5 * np.exp(-2 / 10.0)
    expected = expected_signal_to_noise(mean_photons, contrast, 500, 99)
    assert np.mean(first) / np.std(first) == pytest.approx(expected, rel=0.35)


def test_signal_to_noise_grows_as_the_root_of_pixels_and_pairs():
    once = expected_signal_to_noise(0.01, 0.1, 1000, 99)
    assert expected_signal_to_noise(0.01, 0.1, 4000, 99) == pytest.approx(2 * once)
    assert expected_signal_to_noise(0.01, 0.1, 1000, 4 * 99) == pytest.approx(2 * once)


def test_no_photons_give_no_signal():
    assert expected_signal_to_noise(0.0, 0.1, 1000, 99) == 0


def test_bin_that_cannot_show_speckle_is_starved(rng):
    counts = rng.poisson(0.001, (64, 5000)).astype(np.uint8)
    quality = check_bin(counts, QualityConfig())
    assert quality.flags == ("photon-starved",)
    assert "a signal to noise of at most" in quality.reasons[0]


def test_longer_scan_makes_up_for_few_photons(rng):
    counts = rng.poisson(0.001, (1000, 5000)).astype(np.uint8)
    assert check_bin(counts, QualityConfig()).ok


@pytest.mark.parametrize(("threshold", "is_ok"), [(0.0, True), (1e6, False)])
def test_threshold_is_a_setting(rng, threshold, is_ok):
    counts = rng.poisson(1.0, (100, 500)).astype(np.uint8)
    config = QualityConfig(min_signal_to_noise=threshold)
    assert check_bin(counts, config).ok == is_ok
