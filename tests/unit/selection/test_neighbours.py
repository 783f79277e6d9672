"""Labels from the nearest results."""

import numpy as np
import pytest

from ainerd_bluesky.selection.neighbours import Neighbours

LINE = np.linspace(0, 1, 101)[:, None]


def labels_after(*results, n_labels=2, points=LINE):
    neighbours = Neighbours(points, n_labels)
    for index, probabilities in results:
        neighbours.learn(index, np.array(probabilities))
    return neighbours.labels()


def test_before_any_result_all_labels_are_alike():
    np.testing.assert_array_equal(labels_after(n_labels=4), 0.25)


def test_one_result_is_what_is_expected_everywhere():
    labels = labels_after((50, (0.98, 0.02)))
    assert (labels[:, 0] > 0.5).all()
    assert labels[50, 0] == pytest.approx(1.0 / 1.04)


def test_between_two_results_the_labels_change_in_the_middle():
    labels = labels_after((20, (0.98, 0.02)), (80, (0.02, 0.98)))
    assert labels[50] == pytest.approx([0.5, 0.5])
    assert (labels[:50, 0] > 0.5).all()
    assert (labels[51:, 1] > 0.5).all()


def test_one_wrong_label_among_many_is_overruled():
    results = [(i, (0.98, 0.02)) for i in (44, 46, 48, 52, 54, 56)]
    labels = labels_after(*results, (50, (0.3, 0.7)))
    assert labels[50, 0] > 0.5


def test_only_the_nearest_eight_results_speak():
    near = [(i, (0.98, 0.02)) for i in range(46, 54)]
    far = [(i, (0.02, 0.98)) for i in range(80, 101)]
    together, alone = labels_after(*far, *near), labels_after(*near)
    np.testing.assert_allclose(together[50], alone[50])


def test_the_order_of_results_does_not_matter(rng):
    points = rng.random((101, 2))
    results = [(i, (p, 1 - p)) for i, p in enumerate(rng.random(30))]
    np.testing.assert_allclose(
        labels_after(*results, points=points),
        labels_after(*results[::-1], points=points),
    )
