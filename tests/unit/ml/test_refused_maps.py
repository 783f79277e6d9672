"""Maps that are none are refused with the reason; good ones are not."""

import numpy as np
import pytest

from ainerd_bluesky.ml.classifier import LatentClassifier, Model
from ainerd_bluesky.ml.novelty import KnownMaps
from ainerd_bluesky.vocabulary import DYNAMICS, Label
from ainerd_bluesky.xpcs import check_map
from ainerd_bluesky.xpcs.simulate.dynamics import draw_dynamics
from ainerd_bluesky.xpcs.simulate.speckle import simulate_map

LATENT = LatentClassifier(
    classes=("calm", "wild"),
    temperature=1.0,
    means=np.array([[-2.0], [2.0]], np.float32),
    whitening=np.eye(1, dtype=np.float32),
    centers=np.zeros((1, 1), np.float32),
)
KNOWN = KnownMaps(
    mean=np.zeros(1, np.float32),
    axes=np.ones((1, 1), np.float32),
    places=np.zeros((1, 1), np.int8),
    steps=np.ones(1, np.float32),
    signal_to_noise=np.ones(1, np.float32),
    distances=np.ones(1, np.float32),
)


class Mean:
    """An encoder that needs no learning."""

    def transform(self, X):
        return X.mean(axis=(1, 2))[:, None].astype(np.float32)

    def scores(self, X):
        return np.concatenate([-self.transform(X), self.transform(X)], axis=1)

    def traits(self, X):
        return self.transform(X)

    def reconstruct(self, X):
        return X - 1.0


MODEL = Model(Mean(), LATENT, KNOWN, {"name": "toy", "version": "1", "sha256": "ab"})


def good_map(n_frames, noise, rng):
    lag = np.abs(np.subtract.outer(np.arange(n_frames), np.arange(n_frames)))
    half = np.triu(noise * rng.standard_normal((n_frames, n_frames)), 1)
    return 1.0 + 0.3 * np.exp(-lag / (n_frames / 6)) + half + half.T


def blank(two_time, rng):
    return np.zeros_like(two_time)


def blank_half(two_time, rng):
    half = len(two_time) // 2
    two_time[half:], two_time[:, half:] = 0.0, 0.0
    return two_time


def constant(two_time, rng):
    return np.full_like(two_time, 1.2, dtype=np.float32)


def all_nan(two_time, rng):
    return np.full_like(two_time, np.nan)


def nan_in_half_the_frames(two_time, rng):
    half = len(two_time) // 2
    two_time[half:], two_time[:, half:] = np.nan, np.nan
    return two_time


def nan_in_half_the_elements(two_time, rng):
    is_lost = np.triu(rng.random(two_time.shape) < 0.5, 1)
    two_time[is_lost | is_lost.T] = np.nan
    return two_time


def nan_below_the_diagonal(two_time, rng):
    two_time[np.tril_indices_from(two_time, -1)] = np.nan
    return two_time


def clipped(two_time, rng):
    return np.minimum(two_time, np.quantile(two_time, 0.8))


def one_half_only(two_time, rng):
    return np.triu(two_time)


def independent_halves(two_time, rng):
    return two_time + 0.1 * rng.standard_normal(two_time.shape)


def single_event(two_time, rng):
    frame = len(two_time) // 3
    two_time[frame], two_time[:, frame] = 20.0, 20.0
    return two_time


@pytest.mark.parametrize("noise", [0.0, 0.1], ids=["clean", "noisy"])
@pytest.mark.parametrize("n_frames", [50, 100, 256])
@pytest.mark.parametrize(
    ("spoil", "flag", "reason"),
    [
        (blank, "constant", "have the value 0"),
        (blank_half, "blank", "rows hold only zeros"),
        (constant, "constant", "have the value 1.2"),
        (all_nan, "nan", "no finite value"),
        (nan_in_half_the_frames, "nan", "no finite value"),
        (nan_in_half_the_elements, "nan", "are not finite"),
        (nan_below_the_diagonal, "nan", "are not finite"),
        (clipped, "saturated", "sit at the maximum"),
        (one_half_only, "asymmetric", "differ by"),
        (independent_halves, "asymmetric", "differ by"),
        (single_event, "single-event", "of the variation"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_defect_is_refused_with_its_reason(rng, spoil, flag, reason, n_frames, noise):
    spoilt = spoil(good_map(n_frames, noise, rng), rng)

    (answer,) = MODEL.classify(spoilt)

    assert (answer.label, answer.probabilities) == (Label.INVALID, {})
    assert (check_map(spoilt).flags, answer.quality.flags) == ((flag,), (flag,))
    assert reason in answer.quality.reasons[0]


@pytest.mark.parametrize("noise", [0.0, 0.1], ids=["clean", "noisy"])
@pytest.mark.parametrize("n_frames", [50, 100, 256])
def test_same_map_without_the_defect_passes(rng, n_frames, noise):
    assert check_map(good_map(n_frames, noise, rng)).flags == ()


@pytest.mark.parametrize("label", DYNAMICS)
def test_simulated_maps_are_not_refused(rng, label):
    # 56 maps of each of nine words, 500 in all.
    for _ in range(56):
        n_frames = int(rng.choice([50, 64, 100]))
        n_pixels, n_modes = int(rng.integers(150, 600)), int(rng.integers(1, 6))
        mean_photons = float(np.exp(rng.uniform(np.log(0.05), np.log(5.0))))
        two_time, _ = simulate_map(
            draw_dynamics(label, rng), n_frames, n_pixels, n_modes, mean_photons, rng
        )
        assert check_map(two_time).flags == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["raw", "target"])
def test_no_measured_map_is_refused(shared_data, name):
    with np.load(shared_data / "chx_two_time" / "train.npz") as data:
        maps = data[name]
    flags = {flag for one_map in maps for flag in check_map(one_map).flags}
    assert flags == set()
