"""Frames without photons: data where something else than their own mean divides.

Half a photon a frame under a beam that comes and goes slowly: 62 % of the frames are
empty, and most of them where the beam is weak.
"""

import numpy as np
import pytest

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.xpcs import (
    BinEvents,
    LongScan,
    PixelSeries,
    StreamingTwoTime,
    age_lag_map,
    correlate_bin,
    correlate_events,
    events_g2,
    events_thumbnail,
    multi_tau_g2,
    two_time_thumbnail,
)

PHOTONS, N_PIXELS, N_FRAMES, N_REPLICAS = 0.5, 12, 2000, 32
BEAM = 1 + 0.7 * np.sin(2 * np.pi * np.arange(N_FRAMES) / 400)
KINDS = pytest.mark.parametrize("normalisation", ["monitor", "symmetric", "none"])
ESTIMATORS = pytest.mark.parametrize("estimator", ["ratio-of-sums", "mean-of-ratios"])


def movies(n_replicas=N_REPLICAS):
    rng = np.random.default_rng(4)
    mean = PHOTONS / N_PIXELS * BEAM[:, None]
    shape = (n_replicas, N_FRAMES, N_PIXELS)
    return rng.poisson(np.broadcast_to(mean, shape)).astype(np.uint8)


def dense(counts, config):
    return correlate_bin(counts, config=config, monitor=BEAM).g2


def events(counts, config):
    return events_g2(BinEvents.from_counts(counts), config=config, monitor=BEAM)[0]


def multi_tau(counts, config):
    return multi_tau_g2([counts], config=config, monitor=BEAM).g2[0]


@KINDS
@ESTIMATORS
@pytest.mark.parametrize("correlated", [dense, events, multi_tau])
def test_half_a_photon_a_frame_gives_the_beam(correlated, normalisation, estimator):
    config = CorrelationConfig(normalisation=normalisation, estimator=estimator)
    # Without noise: 1 for the monitor, what the beam does for the others.
    mean = np.repeat(PHOTONS / N_PIXELS * BEAM[:, None], N_PIXELS, axis=1)
    lags = slice(0, 8)
    truth = correlated(mean, config)[lags]
    found = [np.mean(correlated(counts, config)[lags] / truth) for counts in movies()]
    error = np.std(found, ddof=1) / np.sqrt(N_REPLICAS)
    assert error < 0.03
    assert abs(np.mean(found) - 1) < error


def streamed(counts, config, is_good):
    stream = StreamingTwoTime(PixelSeries(np.ones((1, N_PIXELS), int)), config=config)
    for part in np.array_split(np.arange(N_FRAMES), 7):
        stream.append(counts[part, None], is_good=is_good[part], monitor=BEAM[part])
    return stream


@KINDS
@ESTIMATORS
def test_every_path_counts_the_same_frames(normalisation, estimator):
    counts, is_good = movies(1)[0], np.arange(N_FRAMES) % 37 != 5
    config = CorrelationConfig(normalisation=normalisation, estimator=estimator)
    known = {"config": config, "is_good": is_good, "monitor": BEAM}
    photons = BinEvents.from_counts(counts)
    whole = correlate_bin(counts, **known)
    assert np.array_equal(np.isfinite(whole.two_time[0]), is_good)
    assert whole.n_pairs[0] == (is_good[1:] & is_good[:-1]).sum()

    sparse = correlate_events(photons, **known)
    assert sparse.g2 == pytest.approx(whole.g2, rel=1e-5, nan_ok=True)
    assert np.array_equal(sparse.n_pairs, whole.n_pairs)
    np.testing.assert_allclose(sparse.two_time, whole.two_time, rtol=1e-5)
    stream = streamed(counts, config, is_good)
    assert stream.g2(1) == pytest.approx(whole.g2, rel=1e-6, nan_ok=True)
    for form in (counts, photons):
        short = multi_tau_g2([form], **known).g2[0, :8]
        assert short == pytest.approx(whole.g2[:8], rel=1e-5)
        assert age_lag_map(form, n_ages=1, **known).n_pairs[0, 0] == whole.n_pairs[0]


@KINDS
def test_averages_of_the_map_count_the_same_frames(normalisation):
    counts, config = movies(1)[0], CorrelationConfig(normalisation=normalisation)
    known = {"config": config, "monitor": BEAM}
    two_time = correlate_bin(counts, **known).two_time.astype(np.float64)
    expected = two_time.reshape(20, 100, 20, 100).mean(axis=(1, 3))
    small = {"size": 20, **known}
    for thumbnail in (
        two_time_thumbnail(counts, **small),
        events_thumbnail(BinEvents.from_counts(counts), **small),
    ):
        np.testing.assert_allclose(thumbnail, expected, rtol=1e-5)


@pytest.mark.parametrize("normalisation", ["monitor", "none"])
def test_long_scan_counts_the_same_frames(normalisation):
    counts, config = movies(1)[0], CorrelationConfig(normalisation=normalisation)
    scan = LongScan(config=config)
    scan.append(counts, monitor=BEAM)
    expected = age_lag_map(counts, n_ages=2, config=config, monitor=BEAM)
    found = scan.result().age_lag(2)
    assert found.g2 == pytest.approx(expected.g2, rel=1e-5, nan_ok=True)
    assert np.array_equal(found.n_pairs, expected.n_pairs)


@pytest.mark.parametrize("normalisation", ["static", "frame", "static-frame", "pixel"])
def test_frames_that_their_own_mean_would_divide_are_left_out(normalisation):
    counts, config = movies(1)[0], CorrelationConfig(normalisation=normalisation)
    found = correlate_bin(counts, config=config)
    is_lit = counts.any(axis=1)
    assert np.array_equal(np.isfinite(found.two_time[is_lit.argmax()]), is_lit)


@KINDS
def test_bin_without_any_photon_is_unknown(normalisation):
    config = CorrelationConfig(normalisation=normalisation)
    dark = np.zeros((50, 4), np.uint8)
    found = correlate_bin(dark, config=config, monitor=np.ones(50))
    assert np.isnan(found.two_time).all()
    assert np.isnan(found.g2).all()
