import numpy as np
import pytest
from scipy.stats import spearmanr

from ainerd_bluesky.ml.dependence import (
    explained_out_of_fold,
    kendall,
    level_codes,
    mutual_information,
    neighbour_predictions,
    ridge_predictions,
    spearman,
)

FOLDS = np.arange(60) % 6


@pytest.fixture
def points(rng):
    return rng.standard_normal((60, 4)) * [4.0, 2.0, 1.0, 0.5]


@pytest.mark.parametrize("correlate", [spearman, kendall])
@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 8, 27, 64], 1.0), ([4, 3, 2, 1], -1.0), ([5, 5, 5, 5], 0.0)],
    ids=["rising", "falling", "constant"],
)
def test_rank_correlation_of_monotonous_values(correlate, values, expected):
    found = correlate(np.arange(4.0), np.array([values], float))
    assert found == pytest.approx([expected])


def test_spearman_with_ties_is_that_of_scipy(rng):
    x, sets = rng.integers(5, size=30), rng.integers(4, size=(3, 30)).astype(float)
    expected = [spearmanr(x, values).statistic for values in sets]
    np.testing.assert_allclose(spearman(x.astype(float), sets), expected)


@pytest.mark.parametrize(
    ("levels", "bits"),
    [([0, 0, 1, 1], 1.0), ([1, 1, 0, 0], 1.0), ([0, 1, 0, 1], 0.0)],
    ids=["same", "named otherwise", "independent"],
)
def test_words_tell_as_many_bits_as_they_should(levels, bits):
    words = np.array(["aging", "aging", "static", "static"])
    assert mutual_information(words, np.array([levels])) == pytest.approx([bits])


def test_mutual_information_is_that_of_sklearn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    words, levels = rng.integers(3, size=50), rng.integers(4, size=(2, 50))
    expected = [metrics.mutual_info_score(words, one) / np.log(2) for one in levels]
    np.testing.assert_allclose(mutual_information(words, levels), expected)


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        (np.arange(64.0), [16] * 4),
        (np.arange(64.0) % 2, [32, 32]),
        (np.maximum(np.arange(64.0), 50), [51, 13]),
        (np.minimum(np.arange(64.0), 10), [10, 54]),
    ],
    ids=["spread", "two", "mostly lowest", "mostly highest"],
)
def test_levels_are_as_full_as_ties_allow(values, counts):
    assert np.bincount(level_codes(values[None])[0]).tolist() == counts


@pytest.mark.parametrize(
    ("predict", "lowest"),
    [(ridge_predictions, 0.99), (neighbour_predictions, 0.7)],
    ids=["ridge", "neighbours"],
)
def test_line_is_predicted_and_chance_is_not(rng, points, predict, lowest):
    sets = np.stack([points @ [1.0, -0.5, 0.3, 0.0], rng.standard_normal(60)])
    line, chance = explained_out_of_fold(sets, predict(points, sets, FOLDS), FOLDS)
    assert line > lowest
    assert chance < 0.2


def test_ridge_is_that_of_sklearn(rng, points):
    linear_model = pytest.importorskip("sklearn.linear_model")
    values = points @ [1.0, -0.5, 0.3, 0.0] + rng.standard_normal(60)
    held = FOLDS == 0
    Z = points[~held]
    variance = (np.linalg.svd(Z - Z.mean(axis=0), compute_uv=False) ** 2).mean()
    peers = np.stack(
        [
            linear_model.Ridge(alpha=strength * variance)
            .fit(Z, values[~held])
            .predict(points[held])
            for strength in 10.0 ** np.arange(-5, 3)
        ]
    )
    ours = ridge_predictions(points, values[None], FOLDS)[0, held]
    assert np.abs(peers - ours).max(axis=1).min() < 1e-9


def test_neighbours_are_those_of_sklearn(rng, points):
    neighbors = pytest.importorskip("sklearn.neighbors")
    values, held = rng.standard_normal(60), FOLDS == 2
    peer = neighbors.KNeighborsRegressor(n_neighbors=8, algorithm="brute")
    peer.fit(points[~held], values[~held])
    ours = neighbour_predictions(points, values[None], FOLDS)[0, held]
    np.testing.assert_allclose(ours, peer.predict(points[held]))


@pytest.mark.parametrize("predict", [ridge_predictions, neighbour_predictions])
def test_row_is_predicted_without_its_own_fold(points, predict):
    values = points[:, 0].copy()
    before = predict(points, values[None], FOLDS)[0, FOLDS == 3]
    values[FOLDS == 3] += 1e6
    after = predict(points, values[None], FOLDS)[0, FOLDS == 3]
    np.testing.assert_array_equal(before, after)


def test_mean_of_other_folds_explains_nothing(rng):
    values = rng.standard_normal((1, 60))
    means = np.empty_like(values)
    for fold in range(6):
        means[:, fold == FOLDS] = values[:, fold != FOLDS].mean()
    assert explained_out_of_fold(values, means, FOLDS) == pytest.approx([0.0])
    assert explained_out_of_fold(values, values, FOLDS) == pytest.approx([1.0])
    assert explained_out_of_fold(values * 0, means, FOLDS) == pytest.approx([0.0])


def test_more_components_than_rows_can_be_used(rng):
    points = rng.standard_normal((12, 40))
    predicted = ridge_predictions(points, points[:, :1].T, np.arange(12) % 3)
    assert np.isfinite(predicted).all()
