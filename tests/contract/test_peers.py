"""Our correlation functions against the formulas of other correlators.

The formulas are written down here a second time, in double precision and one frame
pair at a time, from the sources that each test names. Where a peer is installed, its
own code is asked as well.
"""

import warnings

import numpy as np
import pytest

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.engines import load_products
from ainerd_bluesky.xpcs import multi_tau_g2, two_time_map
from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.two_time.correlation import correlate_bin
from ainerd_bluesky.xpcs.two_time.event_correlation import correlate_events, events_g2

N_FRAMES, N_PIXELS = 48, 400
OFF_DIAGONAL = ~np.eye(N_FRAMES, dtype=bool)


@pytest.fixture
def counts(speckle_counts, rng):
    beam = rng.uniform(0.8, 1.2, N_FRAMES)
    return speckle_counts(N_FRAMES, N_PIXELS, tau=10.0, mean_photons=0.8, beam=beam)


@pytest.fixture
def static_bins():
    return np.arange(N_PIXELS) // 100 + 1


def per_frame(counts):
    """<I1 I2> / (<I1> <I2>), the definition of pyCHX, scikit-beam and ESRF."""
    frames = counts.astype(np.float64)
    means = frames.mean(axis=1)
    return frames @ frames.T / counts.shape[1] / np.outer(means, means)


def boost_map(counts, smoothing_bins):
    """Each pixel over its bin's mean in that frame, then the formula above."""
    frames = counts.astype(np.float64)
    for label in np.unique(smoothing_bins):
        pixels = smoothing_bins == label
        frames[:, pixels] /= frames[:, pixels].mean(axis=1, keepdims=True)
    return per_frame(frames)


def ratio_of_sums(counts):
    """Numerators and denominators summed along the diagonal before the ratio."""
    frames = counts.astype(np.float64)
    means = frames.mean(axis=1)
    products = frames @ frames.T / counts.shape[1]
    lags = range(1, len(counts))
    return np.array(
        [
            np.diagonal(products, lag).sum() / (means[:-lag] * means[lag:]).sum()
            for lag in lags
        ]
    )


def mean_of_ratios(two_time):
    lags = range(1, len(two_time))
    return np.array([np.diagonal(two_time, lag).mean() for lag in lags])


def symmetric_multi_tau(counts, lags):
    """<I(t) I(t+l)> / (<I(t)> <I(t+l)>) over frames summed in pairs, level by level."""
    g2 = []
    for lag in lags:
        level = max(0, int(np.ceil(np.log2(lag / 8))))
        n_frames = len(counts) >> level
        summed = counts[: n_frames << level].astype(np.float64)
        summed = summed.reshape(n_frames, 1 << level, -1).sum(axis=1)
        step = lag >> level
        past, future = summed[:-step], summed[step:]
        g2.append((past * future).mean() / (past.mean() * future.mean()))
    return np.array(g2)


def config(normalisation, estimator="ratio-of-sums"):
    return CorrelationConfig(normalisation=normalisation, estimator=estimator)


@pytest.mark.parametrize("engine", ["int8", "fp32", "numpy"])
def test_maps_are_those_of_pychx_scikit_beam_and_xpcs_correlator(counts, engine):
    """From pyCHX/chx_correlationc.py:auto_two_Arrayc.

    The same in skbeam/core/correlation.py:_two_time_process and in
    xpcscorr/correlators/dense/reference.py:CorrelatorDenseReference.correlate.
    """
    if engine == "int8":
        pytest.importorskip("torch")
    products = load_products(engine)
    result = correlate_bin(counts, config=config("frame"), products=products)
    assert result.engine == engine
    assert result.two_time == pytest.approx(per_frame(counts), abs=1e-6, rel=0)


def test_maps_made_in_one_call_are_the_same(counts):
    assert two_time_map(counts) == pytest.approx(per_frame(counts), abs=1e-6, rel=0)


def test_g2_is_that_of_xpcs_correlator(counts):
    """From xpcscorr/correlators/dense/reference.py, version 0.4.5: sums, then ratio."""
    result = correlate_bin(counts, config=config("frame"))
    assert result.g2 == pytest.approx(ratio_of_sums(counts), abs=1e-6, rel=0)


def test_g2_is_that_of_scikit_beam_and_boost_corr_on_request(counts):
    """From skbeam/core/correlation.py:one_time_from_two_time.

    The same in boost_corr/twotime.py:compute_diagonal_average.
    """
    result = correlate_bin(counts, config=config("frame", "mean-of-ratios"))
    expected = mean_of_ratios(per_frame(counts))
    assert result.g2 == pytest.approx(expected, abs=1e-6, rel=0)


def test_static_frame_normalisation_is_the_smoothing_of_boost_corr(counts, static_bins):
    """From boost_corr/twotime.py:compute_smooth_data, mode sqmap, version 0.1.7."""
    result = correlate_bin(
        counts,
        config=config("static-frame", "mean-of-ratios"),
        static_bins=static_bins,
    )
    expected = boost_map(counts, static_bins)
    assert result.two_time == pytest.approx(expected, abs=1e-6, rel=0)
    assert result.g2 == pytest.approx(mean_of_ratios(expected), abs=1e-6, rel=0)


def test_multi_tau_is_that_of_scikit_beam_and_boost_corr(counts):
    """Symmetric norm of skbeam:_one_time_process and of boost_corr/multitau.py."""
    one_time = multi_tau_g2([counts], config=config("symmetric"))
    expected = symmetric_multi_tau(counts, one_time.lags)
    assert one_time.lags.tolist()[:12] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16]
    assert one_time.g2[0] == pytest.approx(expected, abs=1e-6, rel=0)


def test_events_give_the_g2_of_xpcs_correlator(counts):
    events = BinEvents.from_counts(counts)
    g2, _ = events_g2(events, config=config("frame"))
    assert g2 == pytest.approx(ratio_of_sums(counts), abs=1e-12, rel=0)


def test_events_give_the_same_map(counts):
    events = BinEvents.from_counts(counts)
    result = correlate_events(events, config=config("frame"))
    assert result.two_time == pytest.approx(per_frame(counts), abs=1e-6, rel=0)


class TestInstalledPeers:
    """Their own code on the same counts; skipped where they are not installed."""

    def test_xpcs_correlator(self, counts):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = pytest.importorskip("xpcscorr")
            theirs = peer.correlator_dense_reference(
                counts[:, None], np.ones((1, N_PIXELS), bool), ttcf_format="t1,t2"
            )
        result = correlate_bin(counts, config=config("frame"))
        assert result.two_time == pytest.approx(theirs.ttcf[0], abs=1e-6, rel=0)
        assert result.g2 == pytest.approx(theirs.g2[0], abs=1e-6, rel=0)

    def test_scikit_beam_two_time(self, counts):
        correlation = pytest.importorskip("skbeam.core.correlation")
        labels = np.ones((1, N_PIXELS), int)
        theirs = correlation.two_time_corr(labels, counts[:, None], N_FRAMES, N_FRAMES)
        result = correlate_bin(counts, config=config("frame", "mean-of-ratios"))
        assert result.two_time == pytest.approx(theirs.g2[0], abs=1e-6, rel=0)
        g2 = correlation.one_time_from_two_time(theirs.g2)[0, 1:]
        assert result.g2 == pytest.approx(g2, abs=1e-6, rel=0)

    def test_scikit_beam_multi_tau(self, counts):
        correlation = pytest.importorskip("skbeam.core.correlation")
        labels = np.ones((1, N_PIXELS), int)
        g2, lags = correlation.multi_tau_auto_corr(1, 8, labels, counts[:, None])
        one_time = multi_tau_g2([counts], config=config("symmetric"))
        assert lags[1:].tolist() == one_time.lags[:7].tolist()
        assert one_time.g2[0, :7] == pytest.approx(g2[1:, 0], abs=1e-6, rel=0)

    @pytest.mark.parametrize(
        ("smoothing", "normalisation"), [("dqmap", "frame"), ("sqmap", "static-frame")]
    )
    def test_boost_corr_two_time(self, counts, static_bins, smoothing, normalisation):
        torch = pytest.importorskip("torch")
        twotime = pytest.importorskip("boost_corr.twotime")
        quarters = [slice(start, start + 100) for start in range(0, N_PIXELS, 100)]
        bins = {
            "dq_idx": [1],
            "dq_slc": [slice(0, N_PIXELS)],
            "sq_idx": [1, 2, 3, 4],
            "sq_slc": quarters,
        }
        peer = twotime.TwotimeCorrelator(bins, N_FRAMES, det_size=(1, N_PIXELS))
        peer.process(torch.from_numpy(counts.astype(np.int32)))
        peer.compute_smooth_data(smoothing)
        maps, results = peer.get_twotime_generator()
        (theirs,) = maps.values()
        result = correlate_bin(
            counts,
            config=config(normalisation, "mean-of-ratios"),
            static_bins=static_bins,
        )
        # Single precision on their side.
        upper = np.triu(result.two_time)
        assert upper == pytest.approx(theirs, abs=1e-5, rel=0)
        assert result.g2 == pytest.approx(results["c2_g2"][1:, 0], abs=1e-5, rel=0)
