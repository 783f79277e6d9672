import numpy as np
import pytest

from ainerd_bluesky.errors import PartitionError
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.simulate.dynamics import Dynamics
from ainerd_bluesky.xpcs.simulate.movie import (
    SimulatedDetector,
    beam_intensity,
    default_partition,
    reference_q,
    simulate_movie,
)
from ainerd_bluesky.xpcs.two_time.maps import two_time_map

SHAPE = (96, 96)
DETECTOR = SimulatedDetector(SHAPE, n_dead=12, n_hot=4)
STATIONARY = Dynamics(Label.STATIONARY, {"rate": 6.0, "alpha": 1.0})


@pytest.fixture(scope="module")
def partition():
    return default_partition(SHAPE, 3, detector=DETECTOR)


@pytest.fixture(scope="module")
def frames(partition):
    return simulate_movie(
        STATIONARY, partition, n_frames=120, mean_photons=2.0, detector=DETECTOR
    )


def relaxation_rate(frames, partition, q_bin):
    """Rate per window, from the slope of log g2 over the first lags."""
    two_time = two_time_map(frames[:, partition.roi_map == q_bin])
    lags = np.arange(1, 12)
    contrast = [np.diagonal(two_time, lag).mean() - 1.0 for lag in lags]
    return -0.5 * np.polyfit(lags / (len(frames) - 1), np.log(contrast), 1)[0]


def test_frames_are_detector_counts(frames):
    assert frames.shape == (120, *SHAPE)
    assert frames.dtype == np.uint16


@pytest.mark.parametrize("part", ["beam_stop", "gap", "dead"])
def test_no_photons_where_nothing_counts(frames, part):
    is_dark = getattr(DETECTOR, part)

    assert is_dark.any()
    assert not frames[:, is_dark].any()


def test_hot_pixels_outshine_all_others(frames):
    others = frames[:, ~DETECTOR.hot].mean(axis=0)

    assert DETECTOR.hot.sum() == 4
    assert (frames[:, DETECTOR.hot].mean(axis=0) > 20 * others.max()).all()


def test_partition_leaves_out_what_cannot_be_used(partition):
    assert partition.n_q_bins == 3
    assert not partition.roi_map[~DETECTOR.mask].any()


def test_mean_photons_in_the_partition(frames, partition):
    assert frames[:, partition.roi_map > 0].mean() == pytest.approx(2.0, rel=0.05)


def test_background_has_no_contrast(frames, partition):
    is_background = (partition.roi_map == 0) & DETECTOR.mask
    two_time = two_time_map(frames[:, is_background])
    off_diagonal = two_time[~np.eye(120, dtype=bool)]

    assert abs(off_diagonal.mean() - 1.0) < 0.003


def test_rate_goes_as_q_squared(partition, frames):
    q = partition.q_values
    rates = [relaxation_rate(frames, partition, q_bin) for q_bin in (1, 3)]

    # the slope of a fit over eleven lags of one speckle pattern: about 10 %
    assert rates[1] / rates[0] == pytest.approx((q[2] / q[0]) ** 2, rel=0.25)


def test_reference_q_has_the_nominal_rate(partition, frames):
    q_ratio = partition.q_values[1] / reference_q(partition)

    rate = relaxation_rate(frames, partition, 2)

    assert rate == pytest.approx(6.0 * q_ratio**2, rel=0.2)


def test_reference_q_is_the_geometric_mean(partition):
    product = np.prod(partition.q_values)

    assert reference_q(partition) ** 3 == pytest.approx(product)


@pytest.mark.parametrize(("seed", "is_same"), [(0, True), (1, False)])
def test_seed_decides_every_photon(frames, partition, seed, is_same):
    again = simulate_movie(
        STATIONARY,
        partition,
        n_frames=120,
        mean_photons=2.0,
        detector=DETECTOR,
        seed=seed,
    )

    assert np.array_equal(again, frames) == is_same


def test_beam_fluctuates_as_asked():
    intensity = beam_intensity(20000, 0.05, np.random.default_rng(0))

    assert intensity.mean() == pytest.approx(1.0, abs=0.05)
    assert 0.02 < intensity.std() < 0.06


def test_beam_is_never_negative():
    assert beam_intensity(5000, 2.0, np.random.default_rng(0)).min() == 0.0


def test_partition_of_another_detector():
    with pytest.raises(PartitionError, match=r"\(64, 64\), the detector \(96, 96\)"):
        simulate_movie(
            STATIONARY, default_partition((64, 64), 2), n_frames=8, detector=DETECTOR
        )


def test_usual_detector_has_the_shape_of_the_partition():
    partition = default_partition((64, 80), 2)

    movie = simulate_movie(STATIONARY, partition, n_frames=10)

    assert movie.shape == (10, 64, 80)
