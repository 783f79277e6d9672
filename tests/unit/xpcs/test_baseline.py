"""Frames that have nothing in common give 1, however few photons they have."""

from time import process_time

import numpy as np
import pytest

from ainerd_bluesky.config import CorrelationConfig, ReductionConfig
from ainerd_bluesky.pipeline import AnalysisSettings, reduce_frames
from ainerd_bluesky.xpcs import (
    BinEvents,
    QPartition,
    correlate_bin,
    correlate_events,
    multi_tau_g2,
)

BOUND = 1e-3
N_REPLICAS, N_FRAMES, N_PIXELS = 16, 2000, 12
STATIC_BINS = np.arange(N_PIXELS) // 4
PROFILE = np.array([0.5, 1.0, 1.5])
LABELS = {"frame": None, "static": STATIC_BINS}


def replicas(photons, sample, normalisation, n_frames=N_FRAMES, n_replicas=N_REPLICAS):
    """Frames with `photons` in all pixels together, their intensities independent."""
    rng = np.random.default_rng(20240607)
    shape = (n_replicas, n_frames, N_PIXELS)
    flicker = {"uniform": np.ones(1), "speckle": rng.exponential(size=shape)}[sample]
    # A profile that nothing divides out would count as contrast.
    profile = {"frame": np.ones(3), "static": PROFILE}[normalisation]
    mean = photons / N_PIXELS * profile[STATIC_BINS]
    return rng.poisson(np.broadcast_to(mean * flicker, shape)).astype(np.uint8)


def dense(counts, labels, config):
    one = correlate_bin(counts, static_bins=labels, config=config)
    return np.average(*half(one.g2, one.n_pairs))


def events(counts, labels, config):
    photons = BinEvents.from_counts(counts)
    one = correlate_events(photons, static_bins=labels, config=config)
    return np.average(*half(one.g2, one.n_pairs))


def multi_tau(counts, labels, config):
    one = multi_tau_g2([counts], static_bins=[labels], config=config)
    widths = np.gradient(one.lags)
    short = one.lags < len(counts) // 2
    weights = (len(counts) - one.lags) * widths
    return np.average(one.g2[0, short], weights=weights[short])


def half(g2, n_pairs):
    """Return g2 of the shorter half of the lags, axis, and pairs as weights."""
    stop = len(g2) // 2
    return g2[:stop], None, n_pairs[:stop]


def baseline(engine, movies, normalisation, estimator="ratio-of-sums"):
    """Return the mean over replicas and its standard error."""
    config = CorrelationConfig(normalisation=normalisation, estimator=estimator)
    values = [engine(counts, LABELS[normalisation], config) for counts in movies]
    return np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))


ENGINES = pytest.mark.parametrize("engine", [dense, events, multi_tau])
SAMPLES = pytest.mark.parametrize("sample", ["uniform", "speckle"])


@ENGINES
@SAMPLES
@pytest.mark.parametrize("normalisation", ["frame", "static"])
def test_five_photons_a_frame_give_one(engine, sample, normalisation):
    mean, error = baseline(engine, replicas(5, sample, normalisation), normalisation)
    assert error <= 3e-4
    assert abs(mean - 1) < BOUND


# One standard error holds the truth for 68 % of seeds only, so two are allowed.
@ENGINES
@SAMPLES
@pytest.mark.parametrize("normalisation", ["frame", "static"])
def test_one_photon_a_frame_gives_one(engine, sample, normalisation):
    movies = replicas(1, sample, normalisation)
    assert (movies.sum(axis=2) == 0).mean() > 0.3
    mean, error = baseline(engine, movies, normalisation)
    assert error < 1.5e-3
    assert abs(mean - 1) < 2 * error


@ENGINES
@SAMPLES
def test_short_scan_of_static_bins_gives_one(engine, sample):
    movies = replicas(5, sample, "static", n_frames=100, n_replicas=200)
    # Without the correction it would be 0.992.
    mean, error = baseline(engine, movies, "static")
    assert error < 1.5e-3
    assert abs(mean - 1) < 2.5 * error


def test_flicker_of_the_beam_is_not_taken_for_noise_of_static_bins():
    rng = np.random.default_rng(20240607)
    beam = rng.gamma(4.0, 0.25, (400, 100, 1))
    movies = rng.poisson(5 / N_PIXELS * PROFILE[STATIC_BINS] * beam).astype(np.uint8)
    mean, error = baseline(dense, movies, "static")
    assert error < 1.5e-3
    assert abs(mean - 1) < 2.5 * error


@pytest.mark.parametrize("engine", [dense, events])
@SAMPLES
def test_mean_of_ratios_is_biased_at_one_photon(engine, sample):
    mean, error = baseline(
        engine, replicas(1, sample, "static"), "static", "mean-of-ratios"
    )
    assert abs(mean - 1) - 3 * error > 10 * BOUND


DROPPED = np.arange(25, 500, 50)
PARTITION = QPartition(
    np.ones((1, 2000), np.int64), np.array([0.01]), np.array([np.nan])
)


@pytest.fixture
def movie(rng):
    return rng.poisson(5.0, (500, 1, 2000)).astype(np.uint8)


def with_dropped(movie, n_dark):
    """2 % of the frames without photons in all pixels, or in half of them."""
    spoilt = movie.copy()
    spoilt[DROPPED[:n_dark]] = 0
    spoilt[DROPPED[n_dark:], :, :1000] = 0
    return spoilt


def reduced(movie, bad_frames=()):
    config = AnalysisSettings(reduction=ReductionConfig(bad_frames=bad_frames))
    return reduce_frames([movie], PARTITION, frame_time=0.1, config=config)


@pytest.mark.parametrize("bad_frames", [(), tuple(DROPPED.tolist())])
@pytest.mark.parametrize("n_dark", [0, 5, 10], ids=["half", "both", "dark"])
def test_dropped_frames_do_not_move_the_baseline(movie, n_dark, bad_frames):
    clean = reduced(movie)
    spoilt = reduced(with_dropped(movie, n_dark), bad_frames)
    is_out = np.isnan(spoilt.two_time[0]).all(axis=0)
    assert np.flatnonzero(is_out).tolist() == DROPPED.tolist()
    short = clean.lags <= 100
    moved = spoilt.g2[0, short] - clean.g2[0, short]
    assert abs(moved).max() < BOUND


def test_half_dark_frames_that_are_kept_would_move_it(movie):
    clean, spoilt = (
        correlate_bin(counts[:, 0]).g2[50 - 1]
        for counts in (movie, with_dropped(movie, 0))
    )
    assert spoilt - clean > 3 * BOUND


@pytest.mark.slow
def test_bad_frames_cost_no_time(rng):
    counts = rng.poisson(0.5, (300, 4000)).astype(np.uint8)
    with_bad = np.arange(300) % 50 != 25
    seconds = {"good": [], "bad": []}
    for _ in range(15):
        for name, is_good in (("good", None), ("bad", with_bad)):
            start = process_time()
            correlate_bin(counts, is_good=is_good)
            seconds[name].append(process_time() - start)
    assert min(seconds["bad"]) <= 2 * min(seconds["good"])
