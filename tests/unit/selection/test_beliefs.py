"""Means over neighbours, and which neighbours are believed."""

import numpy as np
import pytest

from ainerd_bluesky.selection.beliefs import Beliefs, Finding

LINE = np.linspace(0, 1, 101)[:, None]
SCALES = np.array([0.05, 0.2])
NONE = np.array([], dtype=np.int64)


def finding(*probabilities, novelty=0.2, value=np.nan):
    return Finding(np.array(probabilities), novelty, value)


def beliefs_after(*findings, scales=SCALES):
    beliefs = Beliefs(LINE, 2, scales)
    for index, found in findings:
        beliefs.learn(index, found)
    return beliefs.forecast(NONE)


def test_before_any_result_nothing_is_known():
    forecast = beliefs_after()
    np.testing.assert_allclose(forecast.labels, 0.5)
    np.testing.assert_allclose(forecast.novelty, 0.5)
    assert np.isnan(forecast.value).all()
    assert (forecast.support == 0).all()
    assert (forecast.nearest == -1).all()
    assert np.isinf(forecast.distance).all()


def test_labels_add_up_to_one_everywhere():
    forecast = beliefs_after((3, finding(0.9, 0.1)), (60, finding(0.2, 0.8)))
    np.testing.assert_allclose(forecast.labels.sum(axis=1), 1.0)


def test_a_lone_result_counts_against_what_is_known_in_general():
    # One scale, trust 1/2 in it and 1/2 in no neighbours; then it predicts the first
    # result no better. On the spot: (v + 0.3 g) / 1.3 with g = (1 + 0.5) / 2 = 0.75.
    forecast = beliefs_after((50, finding(1.0, 0.0)), scales=np.array([0.1]))
    assert forecast.labels[50, 0] == pytest.approx(0.5 * 1.225 / 1.3 + 0.5 * 0.75)
    assert forecast.labels[0, 0] == pytest.approx(0.75, abs=1e-3)
    assert forecast.support[50] == pytest.approx(0.5)
    assert forecast.support[0] < 1e-5


@pytest.mark.parametrize(
    ("width", "wrong", "believed"), [(0.06, 0.0, 0), (0.5, 0.3, 1)]
)
def test_the_length_scale_of_the_labels_is_believed(rng, width, wrong, believed):
    """Narrow stripes ask for near neighbours, wrong labels for many of them."""
    beliefs = Beliefs(LINE, 2, np.array([0.01, 0.15]))
    for index in rng.permutation(101):
        is_first = ((LINE[index, 0] // width) % 2 == 0) != (rng.random() < wrong)
        beliefs.learn(index, finding(0.9, 0.1) if is_first else finding(0.1, 0.9))
    assert beliefs.label_trust.argmax() == believed


def test_a_property_is_expected_from_its_neighbours():
    results = [
        (i, finding(1.0, 0.0, value=10.0 if i < 50 else 20.0)) for i in range(0, 101, 5)
    ]
    forecast = beliefs_after(*results)
    assert forecast.value[22] == pytest.approx(10.0, abs=1.0)
    assert forecast.value[78] == pytest.approx(20.0, abs=1.0)
    assert forecast.value_std[50] > 1.5 * forecast.value_std[22]


def test_a_result_without_the_property_tells_nothing_of_it():
    with_value = beliefs_after((50, finding(1.0, 0.0, value=3.0)))
    np.testing.assert_allclose(with_value.value, 3.0)
    without = beliefs_after((50, finding(1.0, 0.0)))
    assert np.isnan(without.value).all()


def test_what_is_awaited_counts_as_near():
    beliefs = Beliefs(LINE, 2, SCALES)
    beliefs.learn(0, finding(1.0, 0.0))
    forecast = beliefs.forecast(np.array([40]))
    assert forecast.distance[50] == pytest.approx(0.1)
    assert forecast.nearest[50] == 0
    assert forecast.awaited.argmax() == 40
    assert forecast.awaited[40] < 1


def test_a_refused_scan_teaches_nothing_but_takes_room():
    beliefs = Beliefs(LINE, 2, SCALES)
    beliefs.learn(0, finding(0.9, 0.1))
    before = beliefs.forecast(NONE)
    beliefs.learn(60, None)
    after = beliefs.forecast(NONE)
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_array_equal(after.distance, before.distance)
    assert after.nearest[60] == 60
    # What is twice as far away was worth twice as much, and now as much.
    assert before.room[60] / before.room[30] == pytest.approx(2.0)
    assert after.room[60] / after.room[30] == pytest.approx(1.0)


def test_at_the_border_half_of_the_room_lies_outside():
    forecast = beliefs_after((50, finding(1.0, 0.0)))
    # At the end 0.5 away: half of it. Inside 1/3 away, with 1/6 to the border: all.
    assert forecast.room[100] / forecast.room[83] == pytest.approx(0.25 / 0.33)
