"""Counts that are checked before they are correlated: how large they may be."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs import correlate_bin


@pytest.mark.parametrize("size", [1e-11, 1e-6, 1e6, 1e11])
@pytest.mark.parametrize(
    "normalisation",
    ["static", "frame", "static-frame", "symmetric", "monitor", "pixel"],
)
def test_size_of_fractions_does_not_matter(rng, size, normalisation):
    counts = rng.gamma(2.0, size=(40, 60))
    known = {
        "config": CorrelationConfig(normalisation=normalisation),
        "static_bins": np.arange(60) // 20,
        "monitor": rng.uniform(1, 2, 40),
    }
    expected, scaled = (correlate_bin(c, **known) for c in (counts, counts * size))
    assert_allclose(scaled.two_time, expected.two_time, rtol=1e-5)
    assert scaled.g2 == pytest.approx(expected.g2, rel=1e-5)


@pytest.mark.parametrize("size", [1e-25, 1e-13, 1e13, 1e25])
def test_fractions_that_no_map_can_hold_are_refused(rng, size):
    counts = size * rng.uniform(1.0, 2.0, (20, 30))
    with pytest.raises(FrameStackError, match=r"largest count is .*: scale the counts"):
        correlate_bin(counts)


def test_bad_frame_may_hold_any_number(rng):
    counts = rng.gamma(2.0, size=(20, 30))
    expected = correlate_bin(counts, is_good=np.arange(20) != 3)
    counts[3] = 1.8e19  # the largest number of 64 bits, as a fraction
    spoilt = correlate_bin(counts, is_good=np.arange(20) != 3)
    assert np.array_equal(spoilt.two_time, expected.two_time, equal_nan=True)
