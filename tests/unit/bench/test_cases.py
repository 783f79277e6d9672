"""The simulated measurements."""

import numpy as np
import pytest

from ainerd_bluesky.bench.cases import (
    CASES,
    QUICK_CASES,
    Case,
    load_photons,
    load_series,
    make_data,
    simulate,
    small,
)


@pytest.mark.parametrize("case", [*CASES.values(), *QUICK_CASES.values()], ids=str)
def test_pixels_of_the_bins_are_all_and_apart(case):
    ends = [pixels.stop for pixels in case.columns]
    starts = [pixels.start for pixels in case.columns]
    assert starts == [0, *ends[:-1]]
    assert ends[-1] == case.n_pixels


def test_static_bins_lie_ten_in_a_q_bin():
    case = Case("x", 10, 1003, 3, 1.0)
    for pixels in case.columns:
        assert len(np.unique(case.static_bins[pixels])) == 10
    assert len(np.unique(case.static_bins)) == 30


def test_simulated_mean_and_decay_are_as_stated():
    case = Case("x", 800, 4000, 1, 2.0)
    counts = np.concatenate(list(simulate(case))).astype(float)
    assert counts.shape == (800, 4000)
    assert counts.mean() == pytest.approx(2.0, rel=0.03)
    mean = counts.mean(axis=1)
    products = (counts[:-1] * counts[1:]).mean(axis=1).sum()
    g2 = products / (mean[:-1] * mean[1:]).sum()
    # Two modes, 0.2 draws per pixel and frame.
    assert g2 == pytest.approx(1 + 0.5 * np.exp(-0.2), abs=0.005)


def test_data_are_the_same_for_every_process(tmp_path):
    case = Case("x", 100, 2048, 2, 1.0)
    make_data(case, tmp_path)
    counts = load_series(case, tmp_path).counts
    assert np.array_equal(counts, np.concatenate(list(simulate(case))))


def test_blocks_are_the_series_in_order(tmp_path):
    case = small(CASES["A"])
    make_data(case, tmp_path)
    series = load_series(case, tmp_path)
    assert np.array_equal(np.concatenate(list(series.blocks())), series.counts)


def test_photons_come_in_order_of_frames_and_once_a_pixel(tmp_path):
    case = Case("x", 500, 10_000, 3, 1e-3, "photons")
    make_data(case, tmp_path)
    photons = load_photons(case, tmp_path)
    keys = photons.frame_index * case.n_pixels + photons.pixel_index
    assert (np.diff(keys) > 0).all()
    assert float(photons.counts.sum()) == pytest.approx(5000, rel=0.1)


def test_data_are_made_once(tmp_path):
    case = Case("x", 10, 100, 1, 1.0)
    make_data(case, tmp_path)
    before = case.path(tmp_path).stat().st_mtime_ns
    make_data(case, tmp_path)
    assert case.path(tmp_path).stat().st_mtime_ns == before
    assert len(list(tmp_path.iterdir())) == 1
