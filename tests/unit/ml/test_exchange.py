import numpy as np
import pytest
from scipy.stats import kstest

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.ml.dependence import spearman
from ainerd_bluesky.ml.exchange import (
    Exchange,
    draw_exchanges,
    joint_p_values,
    lowest_p_value,
    permutation_p_value,
    suitable_exchange,
)


def p_value(rng, x, y, groups, *, times=None, exchange=Exchange.GROUPS, n_draws=99):
    drawn = draw_exchanges(exchange, groups, times, n_draws=n_draws, rng=rng)
    sets = np.vstack([y, y[drawn]])
    return permutation_p_value(np.abs(spearman(x, sets)))


def wandering(rng, n_rows):
    """A series that remembers itself over some ten steps."""
    series = np.empty(n_rows)
    series[0] = rng.standard_normal()
    for step in range(1, n_rows):
        series[step] = 0.9 * series[step - 1] + 0.44 * rng.standard_normal()
    return series


def test_p_values_of_nothing_are_uniform(rng):
    groups = np.arange(20)
    p_values = [
        p_value(rng, rng.standard_normal(20), rng.standard_normal(20), groups)
        for _ in range(300)
    ]
    assert kstest(p_values, "uniform").pvalue > 0.01


def false_alarms(rng, groups, *, n_sets=150):
    """Share of p-values below 0.05 for 12 runs of 6 q-bins and a property of runs."""
    runs = np.repeat(np.arange(12), 6)
    alarms = 0
    for _ in range(n_sets):
        x = rng.standard_normal(12)[runs] + 0.1 * rng.standard_normal(72)
        alarms += p_value(rng, x, rng.standard_normal(12)[runs], groups) <= 0.05
    return alarms / n_sets


def test_q_bins_of_a_run_do_not_count_as_runs(rng):
    assert false_alarms(rng, np.repeat(np.arange(12), 6)) < 0.1


def test_q_bins_taken_for_runs_would_fake_significance(rng):
    assert false_alarms(rng, np.arange(72)) > 0.3


@pytest.mark.parametrize(
    ("exchange", "low", "high"),
    [(Exchange.TIME, 0.0, 0.1), (Exchange.WITHIN, 0.25, 1.0)],
    ids=["shifted", "shuffled"],
)
def test_neighbours_in_time_need_to_be_shifted(rng, exchange, low, high):
    times, one_group = np.arange(60.0), np.zeros(60)
    p_values = [
        p_value(
            rng,
            wandering(rng, 60),
            wandering(rng, 60),
            one_group,
            times=times,
            exchange=exchange,
        )
        for _ in range(200)
    ]
    assert low <= np.mean(np.array(p_values) <= 0.05) < high


def test_groups_keep_sharing_one_value(rng):
    groups = np.array(["a", "b", "b", "c", "c", "c"])
    values = np.array([1.0, 2.0, 2.0, 3.0, 3.0, 3.0])
    drawn = values[draw_exchanges(Exchange.GROUPS, groups, None, n_draws=50, rng=rng)]
    assert (drawn[:, 1] == drawn[:, 2]).all()
    assert (drawn[:, 3:] == drawn[:, 3:4]).all()
    np.testing.assert_array_equal(np.sort(drawn[:, [0, 1, 3]]), [[1, 2, 3]] * 50)
    assert len(np.unique(drawn, axis=0)) == 6


def test_values_stay_within_their_group(rng):
    groups = np.array([1, 0, 1, 0, 0])
    drawn = draw_exchanges(Exchange.WITHIN, groups, None, n_draws=50, rng=rng)
    np.testing.assert_array_equal(groups[drawn], np.tile(groups, (50, 1)))
    np.testing.assert_array_equal(np.sort(drawn), np.tile(np.arange(5), (50, 1)))
    assert len(np.unique(drawn, axis=0)) == 12


def test_every_shift_along_time_is_made_once(rng):
    times = np.array([30.0, 10.0, 20.0])
    drawn = draw_exchanges(Exchange.TIME, np.zeros(3), times, n_draws=99, rng=rng)
    # In the order of time the rows are 1, 2, 0.
    assert drawn.tolist() == [[1, 2, 0], [2, 0, 1]]


def test_long_series_are_shifted_by_chance(rng):
    times = np.arange(500.0)
    drawn = draw_exchanges(Exchange.TIME, np.zeros(500), times, n_draws=99, rng=rng)
    assert drawn.shape == (99, 500)
    assert set(np.unique((drawn - np.arange(500)) % 500, axis=1).shape) == {99, 1}


@pytest.mark.parametrize("times", [None, np.array([1.0, np.nan])], ids=["none", "nan"])
def test_shift_along_unknown_time_is_refused(rng, times):
    with pytest.raises(ConfigError, match="not every row has one"):
        draw_exchanges(Exchange.TIME, np.zeros(2), times, n_draws=9, rng=rng)


@pytest.mark.parametrize(
    ("values", "times", "exchange"),
    [
        ([1, 1, 2, 2], [0, 1, 2, 3], Exchange.GROUPS),
        ([1, 2, 2, 2], [0, 1, 2, 3], Exchange.TIME),
        ([1, 2, 2, 2], None, Exchange.WITHIN),
        ([1, 2, 2, 2], [0, 1, 2, np.nan], Exchange.WITHIN),
    ],
    ids=["constant in a group", "differs", "no times", "a time is missing"],
)
def test_exchange_suits_the_property(values, times, exchange):
    groups = np.array(["a", "a", "b", "b"])
    times = None if times is None else np.array(times, float)
    assert suitable_exchange(np.array(values, float), groups, times) is exchange


@pytest.mark.parametrize(
    ("groups", "times", "exchange"),
    [
        ("abcd", [3, 0, 1, 2], Exchange.TIME),
        ("abccd", [0, 1, 2, 3, 4], Exchange.TIME),
        ("aabbc", [0, 1, 2, 3, 4], Exchange.GROUPS),
        ("abcd", None, Exchange.GROUPS),
        ("abcd", [0, 1, 2, np.nan], Exchange.GROUPS),
    ],
    ids=["alone", "most alone", "few alone", "no times", "a time is missing"],
)
def test_rows_that_stand_alone_are_shifted_along_time(groups, times, exchange):
    groups = np.array(list(groups))
    values = np.unique(groups, return_inverse=True)[1].astype(float)
    times = None if times is None else np.array(times, float)
    assert suitable_exchange(values, groups, times) is exchange


@pytest.mark.parametrize(
    ("exchange", "values", "lowest"),
    [
        (Exchange.GROUPS, [1, 1, 2, 2, 3, 3], 1 / 6),
        (Exchange.GROUPS, [1, 1, 2, 2, 2, 2], 1 / 3),
        (Exchange.WITHIN, [1, 2, 3, 4, 5, 5], 1 / 4),
        (Exchange.TIME, [1, 2, 3, 4, 5, 6], 1 / 6),
    ],
)
def test_few_observations_have_a_lowest_p_value(exchange, values, lowest):
    groups = np.array([0, 0, 1, 1, 2, 2])
    found = lowest_p_value(exchange, np.array(values, float), groups)
    assert found == pytest.approx(lowest)


def test_joint_p_values_allow_for_many_measures(rng):
    nothing = rng.standard_normal((300, 8, 100))
    smallest = [joint_p_values(statistics).min() for statistics in nothing]
    assert np.mean(np.array(smallest) <= 0.05) < 0.09
    alone = [permutation_p_value(statistics[0]) for statistics in nothing]
    assert kstest(alone, "uniform").pvalue > 0.01


def test_joint_p_values_are_at_most_those_of_each_alone_times_their_number(rng):
    for _ in range(100):
        statistics = rng.standard_normal((8, 200))
        statistics[3] = -np.exp(3 * statistics[3])
        statistics[4] = rng.integers(3, size=200)
        alone = np.array([permutation_p_value(each) for each in statistics])
        joint = joint_p_values(statistics)
        assert (alone <= joint).all()
        assert (joint <= 8 * alone + 1e-12).all()


def test_measure_with_a_long_tail_to_bad_values_is_found(rng):
    """An explained share is 0.9 at best, and far below zero for most exchanges."""
    statistics = rng.standard_normal((8, 1000))
    statistics[:, 0] = 0.0
    statistics[3] = 0.1 - np.exp(3 * statistics[3])
    statistics[3, 0] = 0.9
    joint = joint_p_values(statistics)
    assert joint[3] <= 0.01
    assert np.delete(joint, 3).min() > 0.5


def test_what_is_far_from_all_others_needs_few_draws(rng):
    statistics = rng.standard_normal((8, 100))
    statistics[3, 0] = 20.0
    assert joint_p_values(statistics)[3] == 0.01
