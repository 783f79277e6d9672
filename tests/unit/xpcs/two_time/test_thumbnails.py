"""Thumbnails against block means of the full map."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import TwoTimeError
from ainerd_bluesky.xpcs.two_time.correlation import correlate_bin
from ainerd_bluesky.xpcs.two_time.thumbnails import two_time_thumbnail


def block_means(two_time, size):
    """Means of the known elements, block by block."""
    blocks = np.array_split(np.arange(len(two_time)), min(size, len(two_time)))
    means = np.full((len(blocks), len(blocks)), np.nan)
    for i, rows in enumerate(blocks):
        for j, columns in enumerate(blocks):
            block = two_time[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            known = block[np.isfinite(block)]
            means[i, j] = known.mean(dtype=float) if known.size > 0 else np.nan
    return means


def thumbnail_of(scan, size, **config):
    return two_time_thumbnail(
        scan.counts,
        size=size,
        config=CorrelationConfig(**config),
        static_bins=scan.static_bins,
        is_good=scan.is_good,
        monitor=scan.monitor,
    )


@pytest.mark.parametrize("diagonal", ["shot-noise", "shot-noise-free"])
@pytest.mark.parametrize(
    "normalisation",
    ["static", "frame", "static-frame", "symmetric", "monitor", "pixel", "none"],
)
def test_thumbnail_is_the_mean_of_blocks_of_the_map(scan, normalisation, diagonal):
    kind = {"normalisation": normalisation, "diagonal": diagonal}
    expected = block_means(scan.correlate(**kind).two_time, 13)
    thumbnail = thumbnail_of(scan, 13, **kind)
    assert thumbnail.dtype == np.float32
    assert_allclose(thumbnail, expected, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 7, 170, 300, 1000])
def test_thumbnail_has_the_size_or_that_of_the_map(scan, size):
    expected = block_means(scan.correlate().two_time, size)
    thumbnail = thumbnail_of(scan, size)
    assert thumbnail.shape == (min(size, 300), min(size, 300))
    assert_allclose(thumbnail, expected, rtol=2e-6)


def test_pieces_of_pixels_give_the_same(scan, monkeypatch):
    expected = thumbnail_of(scan, 13)
    monkeypatch.setattr("ainerd_bluesky.xpcs.two_time.thumbnails._PIXELS_AT_ONCE", 7)
    assert_allclose(thumbnail_of(scan, 13), expected, rtol=1e-6)


def test_frame_of_nan_is_a_bad_frame(rng):
    counts = rng.gamma(2.0, size=(20, 50))
    counts[7, 3] = np.nan
    expected = block_means(correlate_bin(counts).two_time, 5)
    assert_allclose(two_time_thumbnail(counts, size=5), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 4), (5, 0)], ids=str)
def test_thumbnail_of_nothing_holds_no_number(shape):
    thumbnail = two_time_thumbnail(np.zeros(shape, np.uint8), size=3)
    assert thumbnail.shape == (min(3, shape[0]), min(3, shape[0]))
    assert np.isnan(thumbnail).all()


def test_thumbnail_has_a_size():
    with pytest.raises(TwoTimeError, match="positive, got 0"):
        two_time_thumbnail(np.ones((4, 4)), size=0)


def test_thumbnail_takes_a_fraction_of_the_memory_of_the_counts(rng):
    counts = np.tile(rng.poisson(0.5, (20, 50_000)).astype(np.uint8), (50, 1))
    tracemalloc.start()
    try:
        two_time_thumbnail(counts)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < counts.nbytes
