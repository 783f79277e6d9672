"""The quality gate: what passes, what is refused, and that reasons hold values."""

import numpy as np
import pytest

from ainerd_bluesky.config import QualityConfig
from ainerd_bluesky.xpcs import PixelSeries, Quality, check_series
from ainerd_bluesky.xpcs.quality.checks import check_bin
from ainerd_bluesky.xpcs.quality.pixels import usable_pixels
from ainerd_bluesky.xpcs.two_time.maps import two_time_map

CONFIG = QualityConfig()
ROI_MAP = np.repeat([[1, 1, 2, 2, 0]], 40, axis=0)


def series_of(frames):
    series = PixelSeries(ROI_MAP)
    series.append(frames)
    return series


@pytest.fixture
def frames(rng):
    return rng.poisson(3.0, (100, *ROI_MAP.shape)).astype(np.uint16)


def test_findings_are_kept_together():
    merged = Quality.good().merge(
        Quality.remark("a", "one"), Quality.refusal("b", "two")
    )
    assert merged == Quality(ok=False, flags=("a", "b"), reasons=("one", "two"))


def test_defect_that_is_found_twice_is_named_once():
    first = Quality.refusal("constant", "all 96 frames are the same")
    remark = Quality.remark("no-frame-time", "the frame time is not known")
    again = Quality.refusal("constant", "all elements have the value 1")
    merged = first.merge(remark, again)
    assert merged.flags == ("constant", "no-frame-time")
    assert merged.reasons == first.reasons + remark.reasons


def test_remark_and_refusal_of_one_flag_refuse():
    assert not Quality.remark("a", "one").merge(Quality.refusal("a", "two")).ok


def test_good_frames_pass(frames):
    assert check_series(series_of(frames), CONFIG) == Quality.good()


def saturate(frames):
    frames[:, :2, 0] = 65535
    return frames


def cut_short(frames):
    return frames[:20]


def darken(frames):
    frames[40:60] = 0
    return frames


def lose_beam(frames):
    frames[60:] = frames[60:] // 8 // 2
    frames[60:, ::20] = 1
    return frames


def freeze(frames):
    return np.repeat(frames[:1], 100, axis=0)


def stutter(frames):
    frames[1::4] = frames[::4]
    return frames


@pytest.mark.parametrize(
    ("spoil", "flag", "reason"),
    [
        (cut_short, "too-short", "20 frames, at least 32"),
        (saturate, "saturated", "2 of 160 pixels"),
        (darken, "dark", "20 of 100 frames hold no photons, at most 10 %"),
        (lose_beam, "beam-lost", "40 of 100 frames hold less than 10 %"),
        (freeze, "constant", "all 100 frames are the same"),
        (stutter, "repeated-frames", "25 of 100 frames equal the one before"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_defect_is_named_with_its_values(frames, spoil, flag, reason):
    quality = check_series(series_of(spoil(frames)), CONFIG)
    assert not quality.ok
    assert flag in quality.flags
    assert reason in " ".join(quality.reasons)
    assert len(quality.flags) == len(quality.reasons)


def test_series_without_frames_is_too_short():
    assert check_series(PixelSeries(ROI_MAP), CONFIG).flags == ("too-short",)


def test_few_dark_frames_do_not_make_a_dark_series(frames):
    frames[[3, 50]] = 0
    assert check_series(series_of(frames), CONFIG) == Quality.good()


def test_hot_pixel_does_not_hide_a_lost_beam(frames):
    lose_beam(frames)
    frames[:, 3, 1] = 5000
    assert "beam-lost" in check_series(series_of(frames), CONFIG).flags


def test_few_photons_are_not_taken_for_a_dark_beam(rng):
    frames = rng.poisson(1.0 / ROI_MAP.size, (400, *ROI_MAP.shape)).astype(np.uint16)
    quality = check_series(series_of(frames), CONFIG)
    assert "dark" not in quality.flags
    assert "beam-lost" not in quality.flags


def test_fluctuating_beam_passes(rng):
    beam = rng.uniform(0.5, 1.5, 100)[:, None, None]
    frames = rng.poisson(3.0 * beam, (100, *ROI_MAP.shape)).astype(np.uint16)
    assert check_series(series_of(frames), CONFIG).ok


@pytest.mark.parametrize(
    ("counts", "flag", "reason"),
    [
        (np.ones((50, 0), np.uint8), "empty-bin", "0 pixels"),
        (np.ones((50, 1), np.uint8), "empty-bin", "1 pixels"),
        (np.zeros((50, 9), np.uint8), "photon-starved", "0 photons per frame"),
        (np.full((50, 9), 255, np.uint8), "saturated", "9 of 9 pixels"),
    ],
    ids=["empty", "single", "dark", "full"],
)
def test_bin_that_carries_no_map_is_named(counts, flag, reason):
    quality = check_bin(counts, CONFIG, saturation=255)
    assert (quality.ok, quality.flags) == (False, (flag,))
    assert reason in quality.reasons[0]


def test_bin_with_many_frames_without_photons_is_starved(rng):
    counts = rng.poisson(1.5 / 500, (400, 500)).astype(np.uint8)
    quality = check_bin(counts, CONFIG)
    assert quality.flags == ("photon-starved",)
    assert "of 400 frames without any" in quality.reasons[0]


def test_bin_with_a_hot_pixel_passes_with_a_remark(rng):
    counts = rng.poisson(2.0, (100, 500)).astype(np.uint16)
    counts[:, 7] = 2000
    quality = check_bin(counts, CONFIG, saturation=65535)
    assert quality.ok
    assert quality.reasons == ("1 of 500 pixels left out: 1 hot",)


def test_hot_dead_and_saturated_pixels_are_found(rng):
    counts = rng.poisson(2.0, (100, 500)).astype(np.uint16)
    counts[:, 3] = 2000
    counts[:, 4] = 0
    counts[17, 5] = 65535
    assert np.flatnonzero(~usable_pixels(counts, 65535)).tolist() == [3, 4, 5]


@pytest.mark.parametrize("mean", [0.001, 0.1, 10.0])
def test_static_speckle_loses_no_pixel(speckle_counts, mean):
    counts = speckle_counts(100, 5000, np.inf, beta=1.0, mean_photons=mean)
    # With 1000 photons in the mean one pixel in a thousand is dark by chance.
    assert (~usable_pixels(counts)).sum() <= 5000 / 1000 * 3


def test_bad_pixels_no_longer_spoil_the_map(rng):
    counts = rng.poisson(2.0, (100, 2000)).astype(np.uint16)
    counts[:, :20] = 0
    counts[:, 20] = 2000
    two_time = two_time_map(counts[:, usable_pixels(counts)])
    off_diagonal = two_time[~np.eye(100, dtype=bool)]
    assert off_diagonal.mean() == pytest.approx(1.0, abs=1e-3)
