import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ainerd_bluesky.ml.augmentation import (  # noqa: E402 - after the skip
    disturbed,
    random_offsets,
)


@pytest.fixture
def samples():
    row = np.linspace(0.0, 1.0, 32)
    wedge = np.maximum(row[:, None], row[None, :])
    return np.repeat(1.0 + 0.3 * wedge[None], 200, axis=0).astype(np.float32)


def test_disturbed_samples_stay_symmetric(samples, rng):
    changed = disturbed(samples, rng)

    np.testing.assert_allclose(changed, changed.transpose(0, 2, 1), atol=1e-6)


def test_most_samples_change_little(samples, rng):
    change = np.abs(disturbed(samples, rng) - samples).max(axis=(1, 2))

    # frames are bright in 15 % of the maps, which stand out by far
    assert 0 < np.median(change) < 0.2
    assert 0.03 < (change > 0.25).mean() < 0.2


def offsets(*, is_flat, n_samples=2000, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return random_offsets(torch.full((n_samples,), is_flat), rng)


def test_static_maps_keep_their_level():
    assert float(offsets(is_flat=True).abs().max()) <= 0.051


def test_some_others_lose_their_baseline():
    is_lost = offsets(is_flat=False) < -0.3

    # 5 % of the maps, and one in a thousand of the small offsets
    assert 0.035 < float(is_lost.float().mean()) < 0.065


def test_same_generator_gives_the_same_offsets():
    assert torch.equal(offsets(is_flat=False), offsets(is_flat=False))
