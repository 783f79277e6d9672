import numpy as np
import pytest

from ainerd_bluesky.ml.simulated_maps import (
    MAX_BLIND_SNR,
    MIN_SEEN_SNR,
    signal_to_noise,
    simulate_map_set,
)
from ainerd_bluesky.vocabulary import DYNAMICS


@pytest.fixture(scope="module")
def map_set():
    return simulate_map_set(54, np.random.SeedSequence(4))


def test_every_word_is_equally_frequent(map_set):
    words, counts = np.unique(map_set.labels, return_counts=True)

    assert set(words) == {label.value for label in DYNAMICS}
    assert set(counts) == {6}


def test_samples_are_finite(map_set):
    assert map_set.samples.shape == map_set.clean.shape == (54, 64, 64)
    assert np.isfinite(map_set.samples).all()
    assert 0.0 <= map_set.clean.min() <= map_set.clean.max() <= 1.0


def test_no_map_is_borderline(map_set):
    is_blind = map_set.labels == "no-signal"

    assert map_set.signal_to_noise[is_blind].max() < MAX_BLIND_SNR
    assert map_set.signal_to_noise[~is_blind].min() > MIN_SEEN_SNR


def test_nothing_is_behind_a_map_without_signal(map_set):
    assert not map_set.clean[map_set.labels == "no-signal"].any()


def test_seed_decides_every_map(map_set):
    again = simulate_map_set(54, np.random.SeedSequence(4))

    np.testing.assert_array_equal(again.samples, map_set.samples)
    assert not np.array_equal(
        simulate_map_set(54, np.random.SeedSequence(5)).samples, map_set.samples
    )


@pytest.mark.parametrize(
    ("change", "factor"),
    [({"n_pixels": 4000}, 2.0), ({"n_frames": 256}, 4.0), ({"n_frames": 32}, 1.0)],
    ids=["pixels", "frames", "few-frames"],
)
def test_signal_to_noise_grows_with_the_data(change, factor):
    scan = {"n_frames": 64, "n_pixels": 1000, "n_modes": 2, "mean_photons": 0.5}
    clean = np.ones((64, 64), np.float32)

    ratio = signal_to_noise(clean, **scan | change) / signal_to_noise(clean, **scan)

    assert ratio == pytest.approx(factor)


def test_signal_to_noise_of_a_static_map():
    # beta 1/2, noise (2 + 1/2) / sqrt(100), 2016 entries above the diagonal
    snr = signal_to_noise(
        np.ones((64, 64), np.float32),
        n_frames=64,
        n_pixels=100,
        n_modes=2,
        mean_photons=0.5,
    )

    assert snr == pytest.approx(0.5 / 0.25 * np.sqrt(2016))


def test_progress_counts_every_map():
    seen = []

    simulate_map_set(9, np.random.SeedSequence(0), progress=seen.append)

    assert sum(seen) == 9
