"""The layout of the multi-tau scheme: delays, levels and ages."""

import numpy as np
import pytest

from ainerd_bluesky.xpcs.lags.multi_tau import coarser, multi_tau_lags, pair_plan


def test_delays_are_those_of_boost_corr():
    lags = multi_tau_lags(300, 8)
    assert lags[:8].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert lags[8:16].tolist() == [10, 12, 14, 16, 20, 24, 28, 32]
    assert lags[16:].tolist() == [40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256]


@pytest.mark.parametrize("n_ages", [1, 3, 7])
@pytest.mark.parametrize("n_frames", [2, 33, 200])
def test_every_pair_has_one_age(n_frames, n_ages):
    plan = pair_plan(n_frames, 8, n_ages)
    n_pairs = np.diff(plan.edges, axis=1).sum(axis=1)
    assert np.array_equal(n_pairs, (n_frames >> plan.levels) - plan.steps)


def test_age_of_a_pair_is_that_of_its_centre():
    plan = pair_plan(12, 4, 3)
    for lag in range(len(plan.lags)):
        width = 1 << plan.levels[lag]
        for age, (start, stop) in enumerate(plan.ranges(lag)):
            centres = (np.arange(start, stop) + (plan.steps[lag] + 1) / 2) * width
            assert ((centres >= 4 * age) & (centres < 4 * age + 4)).all()


@pytest.mark.parametrize("n_frames", [0, 1])
def test_too_few_frames_have_no_delay(n_frames):
    assert pair_plan(n_frames, 8, 2).shape == (0, 2)


def test_odd_frame_is_dropped_when_frames_are_summed():
    frames = np.arange(10).reshape(5, 2)
    assert coarser(frames, 0).tolist() == [[2, 4], [10, 12]]
