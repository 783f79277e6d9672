"""Archived maps: what they may lack, and what is no stack of maps."""

import numpy as np
import pytest

from ainerd_bluesky.errors import TwoTimeError
from ainerd_bluesky.xpcs import Quality, reduce_maps, two_time_map


@pytest.mark.parametrize(
    ("n_q_bins", "reason"),
    [
        (1, "1 of 80 frames have no finite value"),
        (3, "q-bin 1: 1 of 80 frames have no finite value"),
    ],
)
def test_map_without_a_frame_is_taken_with_a_remark(stationary_maps, n_q_bins, reason):
    maps = stationary_maps(n_q_bins)
    maps[0, 7], maps[0, :, 7] = np.nan, np.nan
    reduction = reduce_maps(maps)
    assert reduction.quality == Quality.remark("missing-frames", reason)
    assert [fit.is_trusted for fit in reduction.fits] == [True] * n_q_bins


@pytest.mark.parametrize(
    ("q_bins", "expected"), [(None, [1, 2, 3]), ([2, 5, 9], [2, 5, 9])]
)
def test_bins_keep_the_labels_of_their_source(stationary_maps, q_bins, expected):
    reduction = reduce_maps(stationary_maps(3), q_bins=q_bins)
    assert reduction.q_bins.tolist() == expected
    assert reduction.recipe["q_bins"] == expected


def test_reason_names_the_label_of_the_source():
    quality = reduce_maps(np.ones((2, 40, 40)), q_bins=[4, 6]).quality
    assert quality.reasons == (
        "no q-bin is usable; q-bin 4: all elements have the value 1",
    )


def test_value_too_large_for_float32_is_refused_with_its_reason(stationary_maps):
    maps = stationary_maps(1)
    maps[0, 3, 9] = maps[0, 9, 3] = 1e300
    assert reduce_maps(maps).quality.flags == ("nan",)


def test_slow_speckle_leaves_the_error_of_g2_large(speckle_counts):
    # All elements of one delay share their speckles: 30 scans tell how much they move.
    maps = [two_time_map(speckle_counts(80, 300, 80.0)) for _ in range(30)]
    reduction = reduce_maps(np.stack(maps))
    ratio = reduction.g2_err.mean(axis=0) / reduction.g2.std(axis=0, ddof=1)
    assert ratio[:60] == pytest.approx(1.0, abs=0.4)


def test_map_without_contrast_has_errors_too(rng):
    maps = rng.normal(1.0, 0.01, (1, 80, 80))
    reduction = reduce_maps(maps + maps.transpose(0, 2, 1))
    assert (reduction.g2_err[0, :40] > 0).all()


@pytest.mark.parametrize(
    ("maps", "arguments", "message"),
    [
        (np.ones(5), {}, r"got \(5,\)"),
        (np.ones((0, 40, 40)), {}, r"one q-bin or more, got \(0, 40, 40\)"),
        (np.ones((2, 40, 40)), {"q_values": [0.1]}, r"q_values has shape \(1,\)"),
        (np.ones((2, 40, 40)), {"phi_values": [1, 2, 3]}, "phi_values"),
        (np.ones((2, 40, 40)), {"q_bins": [1]}, r"q_bins must be 2 integers"),
        (np.ones((2, 40, 40)), {"q_bins": [1.0, 2.0]}, "got float64"),
        (np.ones((2, 40, 40)), {"q_bins": [3, 3]}, r"must differ, got \[3, 3\]"),
        (np.ones((2, 40, 40), complex), {}, "real numbers, got complex128"),
        (np.full((2, 40, 40), "1"), {}, "real numbers, got <U1"),
    ],
)
def test_arguments_that_are_no_maps_raise(maps, arguments, message):
    with pytest.raises(TwoTimeError, match=message):
        reduce_maps(maps, **arguments)
