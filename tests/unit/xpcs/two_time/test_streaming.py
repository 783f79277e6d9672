"""Correlation during the scan against that of the whole scan."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs.data.series import PixelSeries
from ainerd_bluesky.xpcs.two_time.correlation import correlate_bin
from ainerd_bluesky.xpcs.two_time.products import Float32Products
from ainerd_bluesky.xpcs.two_time.streaming import StreamingTwoTime
from ainerd_bluesky.xpcs.two_time.thumbnails import two_time_thumbnail

ROI_MAP = np.arange(60).reshape(6, 10) // 25
STATIC_MAP = np.arange(60).reshape(6, 10) // 9
N_FRAMES = 600


@pytest.fixture
def frames(rng):
    return rng.poisson(1.0, (N_FRAMES, 6, 10)).astype(np.uint16)


@pytest.fixture
def is_good():
    return np.arange(N_FRAMES) % 50 != 7


def stream_of(frames, is_good, block, config=None, products=None):
    stream = StreamingTwoTime(
        PixelSeries(ROI_MAP, static_map=STATIC_MAP),
        config=config or CorrelationConfig(),
        products=products,
    )
    for start in range(0, len(frames), block):
        rows = slice(start, start + block)
        monitor = 1.0 + np.arange(len(frames))[rows] / 1000
        stream.append(frames[rows], is_good=is_good[rows], monitor=monitor)
    return stream


def batch(frames, is_good, q_bin, config=None):
    """Arguments of the functions for whole scans."""
    pixels = q_bin == ROI_MAP
    return {
        "counts": frames[:, pixels],
        "static_bins": STATIC_MAP[pixels],
        "is_good": is_good,
        "monitor": 1.0 + np.arange(len(frames)) / 1000,
        "config": config or CorrelationConfig(),
    }


@pytest.mark.parametrize("block", [1, 64, 256, 600])
@pytest.mark.parametrize("q_bin", [1, 2])
def test_stream_ends_where_the_whole_scan_does(frames, is_good, block, q_bin):
    stream = stream_of(frames, is_good, block)
    given = batch(frames, is_good, q_bin)
    expected = correlate_bin(**given)
    assert np.array_equal(stream.g2(q_bin), expected.g2)
    assert np.array_equal(stream.two_time(q_bin), expected.two_time, equal_nan=True)
    thumbnail = two_time_thumbnail(**given, size=50)
    assert np.array_equal(stream.thumbnail(q_bin, 50), thumbnail, equal_nan=True)


@pytest.mark.parametrize(
    "normalisation",
    ["static", "frame", "static-frame", "symmetric", "monitor", "none"],
)
def test_stream_knows_every_normalisation(frames, is_good, normalisation):
    config = CorrelationConfig(normalisation=normalisation)
    stream = stream_of(frames, is_good, 100, config)
    expected = correlate_bin(**batch(frames, is_good, 2, config)).g2
    assert np.array_equal(stream.g2(2), expected)


def test_stream_divides_each_pixel_by_its_mean(frames, is_good):
    config = CorrelationConfig(normalisation="pixel")
    stream = stream_of(frames, is_good, 100, config)
    expected = correlate_bin(**batch(frames, is_good, 2, config)).g2
    # Products of floats: their last bit depends on where the arrays lie in memory.
    assert_allclose(stream.g2(2), expected, rtol=1e-6)


def test_stream_takes_the_mean_of_ratios_on_request(frames, is_good):
    config = CorrelationConfig(estimator="mean-of-ratios")
    stream = stream_of(frames, is_good, 100, config)
    expected = correlate_bin(**batch(frames, is_good, 2, config)).g2
    assert np.array_equal(stream.g2(2), expected)


def test_results_are_there_during_the_scan(frames, is_good):
    stream = StreamingTwoTime(PixelSeries(ROI_MAP, static_map=STATIC_MAP))
    for start in range(0, N_FRAMES, 150):
        stop = start + 150
        stream.append(frames[start:stop], is_good=is_good[start:stop])
        expected = correlate_bin(**batch(frames[:stop], is_good[:stop], 1))
        assert stream.n_frames == stop
        assert np.array_equal(stream.g2(1), expected.g2)
        assert np.array_equal(stream.two_time(1), expected.two_time, equal_nan=True)


def test_stream_in_single_precision_is_close(frames, is_good):
    stream = stream_of(frames, is_good, 70, products=Float32Products())
    expected = correlate_bin(**batch(frames, is_good, 2)).g2
    assert_allclose(stream.g2(2), expected, rtol=1e-6)


def test_stream_of_high_counts_is_exact_or_close(frames, is_good):
    bright = frames * 300
    expected = correlate_bin(**batch(bright, is_good, 2)).g2
    assert np.array_equal(stream_of(bright, is_good, 70).g2(2), expected)
    single = stream_of(bright, is_good, 70, products=Float32Products())
    given = batch(bright, is_good, 2)
    expected = correlate_bin(**given, products=Float32Products()).g2
    assert_allclose(single.g2(2), expected, rtol=1e-6)


def test_missing_frame_is_a_bad_frame(frames, is_good):
    with_nan = frames.astype(np.float64)
    with_nan[33] = np.nan
    stream = stream_of(with_nan, is_good, 100)
    is_good[33] = False
    expected = correlate_bin(**batch(frames, is_good, 1)).g2
    assert np.array_equal(stream.g2(1), expected)


def test_stream_without_frames_has_no_results():
    stream = StreamingTwoTime(PixelSeries(ROI_MAP))
    assert stream.g2(1).shape == (0,)
    assert stream.two_time(1).shape == stream.thumbnail(1).shape == (0, 0)


def test_series_with_frames_is_refused(frames):
    series = PixelSeries(ROI_MAP)
    series.append(frames[:3])
    with pytest.raises(FrameStackError, match="it holds 3 frames"):
        StreamingTwoTime(series)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"is_good": [True]}, r"shape \(4,\), got \(1,\)"),
        ({"monitor": np.ones(5)}, r"shape \(4,\), got .* \(5,\)"),
    ],
    ids=["good", "monitor"],
)
def test_lengths_that_do_not_fit_change_nothing(frames, given, message):
    stream = StreamingTwoTime(PixelSeries(ROI_MAP))
    with pytest.raises(FrameStackError, match=message):
        stream.append(frames[:4], **given)
    assert stream.n_frames == 0


def test_monitor_has_to_come_with_the_frames(frames):
    config = CorrelationConfig(normalisation="monitor")
    stream = StreamingTwoTime(PixelSeries(ROI_MAP), config=config)
    with pytest.raises(FrameStackError, match="needs a monitor"):
        stream.append(frames[:4])
