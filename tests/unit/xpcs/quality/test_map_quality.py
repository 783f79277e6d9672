"""The quality gate of two-time maps: what passes, and what is refused."""

import tracemalloc

import numpy as np
import pytest

from ainerd_bluesky.xpcs import Quality, check_map
from ainerd_bluesky.xpcs.quality.map_quality import signal_to_noise
from ainerd_bluesky.xpcs.two_time.maps import two_time_map


def good_map(rng, n_frames=64):
    lag = np.abs(np.subtract.outer(np.arange(n_frames), np.arange(n_frames)))
    noise = 0.02 * rng.standard_normal((n_frames, n_frames))
    return 1 + 0.3 * np.exp(-lag / 10) + np.triu(noise) + np.triu(noise, 1).T


def test_good_map_passes(rng):
    assert check_map(good_map(rng)) == Quality.good()


def test_diagonal_is_not_looked_at(rng):
    two_time = good_map(rng)
    np.fill_diagonal(two_time, 1e6)
    assert check_map(two_time).ok


def test_map_with_few_dark_frames_passes_with_a_remark(rng):
    two_time = set_rows(np.nan, [5, 6])(good_map(rng))
    quality = check_map(two_time)
    assert quality == Quality.remark(
        "missing-frames", "2 of 64 frames have no finite value"
    )


def test_remark_on_missing_frames_stays_beside_a_refusal(rng):
    two_time = set_rows(np.nan, [5])(np.ones((64, 64)))
    quality = check_map(two_time)
    assert not quality.ok
    assert quality.flags == ("missing-frames", "constant")


def test_more_missing_frames_pass_where_they_may(rng):
    two_time = set_rows(np.nan, slice(0, 20))(good_map(rng))
    assert not check_map(two_time).ok
    assert check_map(two_time, max_missing_fraction=0.4).ok


@pytest.mark.parametrize("label", ["static", "sparse"])
def test_maps_of_counts_pass(speckle_counts, label):
    counts = {
        "static": lambda: speckle_counts(64, 500, np.inf, mean_photons=5.0),
        "sparse": lambda: speckle_counts(200, 500, 30.0, mean_photons=0.05),
    }[label]()
    assert check_map(two_time_map(counts)).ok


def set_rows(value, rows):
    def change(two_time):
        two_time[rows], two_time[:, rows] = value, value
        return two_time

    return change


def clip(two_time):
    return np.minimum(two_time, 1.05)


def keep_upper_half(two_time):
    return np.triu(two_time)


def spoil_a_row(two_time):
    two_time[9] = np.nan
    return two_time


def spoil_a_column(two_time):
    two_time[:, 9] = np.nan
    return two_time


def spoil_one_element(two_time):
    two_time[3, 9] = two_time[9, 3] = np.inf
    return two_time


@pytest.mark.parametrize(
    ("change", "flag", "reason"),
    [
        (lambda m: m[:, :50], "not-square", r"(64, 50)"),
        (lambda m: m[0], "not-square", r"(64,)"),
        (lambda m: m[:31, :31], "too-small", "31 frames, at least 32"),
        (lambda m: np.full_like(m, np.nan), "nan", "64 of 64 frames"),
        (set_rows(np.nan, slice(0, 7)), "nan", "7 of 64 frames"),
        (spoil_a_row, "nan", "63 elements"),
        (spoil_a_column, "nan", "63 elements"),
        (lambda m: m + 0j, "not-numbers", "real numbers, got complex128"),
        (lambda m: m.astype(str), "not-numbers", "real numbers, got <U"),
        (spoil_one_element, "nan", "2 elements"),
        (lambda m: m * 1e25, "out-of-range", "largest element is 1.3"),
        (lambda m: m * 1e200, "out-of-range", "between 1e-15 and 1e+15"),
        (lambda m: m * 1e-25, "out-of-range", "scale it to the baseline 1"),
        (np.ones_like, "constant", "all elements have the value 1"),
        (np.zeros_like, "constant", "all elements have the value 0"),
        (keep_upper_half, "asymmetric", "differ by"),
        (set_rows(0.0, slice(50, 64)), "blank", "14 of 64 rows"),
        (clip, "saturated", "sit at the maximum 1.05"),
        (set_rows(30.0, 12), "single-event", "frame 12 holds"),
    ],
    ids=[
        "rectangle",
        "vector",
        "small",
        "all-nan",
        "many-dark",
        "nan-row",
        "nan-column",
        "complex",
        "text",
        "infinity",
        "huge",
        "beyond-float32",
        "tiny",
        "ones",
        "zeros",
        "half",
        "blank",
        "clipped",
        "one-frame",
    ],
)
def test_map_without_a_statement_is_named(rng, change, flag, reason):
    quality = check_map(change(good_map(rng)))
    assert (quality.ok, quality.flags) == (False, (flag,))
    assert reason in quality.reasons[0]


@pytest.mark.parametrize(
    ("change", "flag", "reason"),
    [
        (lambda m: m.T * np.linspace(1, 2, len(m)), "asymmetric", "differ by"),
        (set_rows(0.0, slice(500, 600)), "blank", "100 of 600 rows"),
        (set_rows(2.0, slice(560, 600)), "saturated", "12.9 % of the elements"),
        (set_rows(30.0, 570), "single-event", "frame 570 holds"),
    ],
    ids=["tilted", "blank", "clipped", "one-frame"],
)
def test_end_of_a_large_map_counts_as_its_beginning(rng, change, flag, reason):
    quality = check_map(change(good_map(rng, 600)).astype(np.float32))
    assert (quality.ok, quality.flags) == (False, (flag,))
    assert reason in quality.reasons[0]


def test_large_map_is_not_copied(rng):
    two_time = good_map(rng, 2000).astype(np.float32)
    tracemalloc.start()
    try:
        check_map(two_time)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < two_time.nbytes


def test_signal_is_clear_where_there_is_contrast(speckle_counts, rng):
    clear = two_time_map(speckle_counts(100, 500, 20.0))
    nothing = two_time_map(rng.poisson(1.0, (100, 500)).astype(np.uint8))
    assert signal_to_noise(clear) > 20
    assert signal_to_noise(nothing) < 4


def test_static_speckle_has_a_clear_signal(speckle_counts):
    assert signal_to_noise(two_time_map(speckle_counts(100, 500, np.inf))) > 20


def test_infinite_elements_do_not_reach_the_signal(rng):
    two_time = set_rows(np.inf, [5, 6])(good_map(rng))
    assert np.isfinite(signal_to_noise(two_time))


@pytest.mark.parametrize("size", [2, 64])
def test_unknown_map_has_no_signal(size):
    assert signal_to_noise(np.full((size, size), np.nan)) == 0.0


@pytest.mark.parametrize("name", ["raw", "target"])
def test_measured_maps_pass(shared_data, name):
    with np.load(shared_data / "chx_two_time" / "train.npz") as data:
        maps = data[name][::100].astype(np.float32)
    assert [check_map(one_map).flags for one_map in maps] == [()] * len(maps)
