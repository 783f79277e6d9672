import numpy as np
import pytest

from ainerd_bluesky.config import QualityConfig
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.data.series import PixelSeries
from ainerd_bluesky.xpcs.quality.checks import check_series
from ainerd_bluesky.xpcs.simulate.dynamics import Dynamics
from ainerd_bluesky.xpcs.simulate.movie import default_partition
from ainerd_bluesky.xpcs.simulate.samples import (
    DEFECTS,
    SimulatedSample,
    sample_library,
    simulate_sample,
    spoil,
)

STATIONARY = Dynamics(Label.STATIONARY, {"rate": 6.0, "alpha": 1.0})


@pytest.fixture(scope="module")
def partition():
    return default_partition((64, 64), 2)


def test_ten_samples_hold_every_word():
    assert {sample.label for sample in sample_library(10)} == set(Label)


def test_library_goes_on_without_changing_its_start():
    short, long = sample_library(12, seed=3), sample_library(25, seed=3)

    assert long[:12] == short
    assert len({sample.name for sample in long}) == 25


def test_seed_decides_the_library():
    assert sample_library(10, seed=1) == sample_library(10, seed=1)
    assert sample_library(10, seed=1) != sample_library(10, seed=2)


def test_every_defect_is_on_a_long_shelf():
    defects = [sample.defect for sample in sample_library(40)]

    assert set(defects) == {None, *DEFECTS}


@pytest.mark.parametrize("defect", DEFECTS)
def test_quality_gate_refuses_every_defect(partition, defect):
    sample = SimulatedSample("spoilt", STATIONARY, defect=defect)
    series = PixelSeries(partition.roi_map)

    series.append(simulate_sample(sample, partition, n_frames=90))

    assert sample.label == Label.INVALID
    assert not check_series(series, QualityConfig()).ok


def test_quality_gate_accepts_a_good_sample(partition):
    sample = SimulatedSample("good", STATIONARY)
    series = PixelSeries(partition.roi_map)

    series.append(simulate_sample(sample, partition, n_frames=90))

    assert sample.label == Label.STATIONARY
    assert check_series(series, QualityConfig()).ok


@pytest.mark.parametrize("defect", DEFECTS)
def test_spoiling_leaves_the_good_frames_alone(defect):
    frames = np.random.default_rng(0).poisson(3.0, (30, 8, 8)).astype(np.uint16)
    before = frames.copy()

    spoilt = spoil(frames, defect)

    np.testing.assert_array_equal(frames, before)
    assert spoilt.dtype == np.uint16
    assert not np.array_equal(spoilt, frames)


def test_beam_is_lost_for_the_middle_third():
    spoilt = spoil(np.ones((30, 4, 4), np.uint16), "beam-lost")

    np.testing.assert_array_equal(np.flatnonzero(~spoilt.any((1, 2))), range(10, 20))


def test_unknown_defect():
    with pytest.raises(ConfigError, match="'melted'"):
        spoil(np.ones((30, 4, 4), np.uint16), "melted")
