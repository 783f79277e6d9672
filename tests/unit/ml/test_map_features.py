import numpy as np
import pytest

from ainerd_bluesky.ml.map_features import N_LEVELS, feature_weights, map_features


@pytest.fixture
def sample(rng):
    delay = np.abs(np.subtract.outer(np.arange(64), np.arange(64)))
    noise = rng.normal(0, 0.02, (64, 64))
    return (1 + 0.3 * np.exp(-delay / 10) + noise + noise.T).astype(np.float32)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_weights_are_those_of_means(size):
    weights = feature_weights(size)

    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)
    assert weights.shape[1] == size**2


def test_first_features_are_the_diagonals(sample):
    features = map_features(sample[None])[0]

    means = np.array([np.diagonal(sample, lag).mean() for lag in range(1, 64)])
    assert np.corrcoef(features[:63], means)[0, 1] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.0), (3.0, 0.0), (1.0, 0.4)])
def test_contrast_and_baseline_are_in_the_levels_alone(sample, gain, offset):
    changed = 1 + gain * (sample - 1) + np.float32(offset)

    before, after = map_features(np.stack([sample, changed]).astype(np.float32))

    np.testing.assert_allclose(
        after[: -N_LEVELS + 2], before[: -N_LEVELS + 2], atol=0.01
    )
    level = gain * before[-N_LEVELS + 2] + offset
    assert after[-N_LEVELS + 2] == pytest.approx(level, rel=1e-4)


def test_structure_is_told_from_noise(sample, rng):
    noise = rng.normal(0, 0.02, (64, 64))
    flat = (1.3 + noise + noise.T).astype(np.float32)

    of_decay, of_noise = map_features(np.stack([sample, flat]))[:, -N_LEVELS + 1]

    assert of_decay < 0.1 < 0.5 < of_noise
