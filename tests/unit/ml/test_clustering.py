import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from ainerd_bluesky.ml.clustering import LatentClusters, match_clusters


@parametrize_with_checks([LatentClusters(), LatentClusters(n_clusters=3)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def blobs(rng, n_blobs=4, n_each=40, n_components=6, apart=8.0):
    """Return points around well separated centres, and the centre of each."""
    truth = np.repeat(np.arange(n_blobs), n_each)
    centers = apart * np.eye(n_blobs, n_components)
    return centers[truth] + rng.normal(size=(len(truth), n_components)), truth


@pytest.mark.parametrize("n_blobs", [1, 2, 5])
def test_number_of_clusters_comes_from_the_data(rng, n_blobs):
    X, truth = blobs(rng, n_blobs)

    clusters = LatentClusters().fit(X)

    assert len(clusters.ids_) == n_blobs
    assert adjusted_rand_score(truth, clusters.labels_) == pytest.approx(1.0)


def test_criterion_is_lowest_at_the_number_chosen(rng):
    clusters = LatentClusters(max_clusters=6).fit(blobs(rng)[0])

    assert min(clusters.bic_, key=clusters.bic_.get) == len(clusters.ids_)
    assert set(clusters.bic_) <= {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_clusters_do_not_depend_on_the_unit_of_the_latent(rng, scale):
    X, truth = blobs(rng)

    labels = LatentClusters().fit(scale * X).labels_

    assert adjusted_rand_score(truth, labels) == pytest.approx(1.0)


def test_probability_is_near_one_inside_and_even_half_way(rng):
    X, _ = blobs(rng, 2)
    clusters = LatentClusters(n_clusters=2).fit(X)
    first, second = clusters.means_

    inside, between = clusters.predict_proba([first, (first + second) / 2])

    assert inside[0] > 0.999
    assert 0.01 < between[0] < 0.99
    assert inside.sum() == pytest.approx(1.0)


def overlapping(rng, n_kinds=7, n_each=20, n_inner=8, n_components=64):
    """Return points of kinds that overlap, in components that depend on each other."""
    centers = 1.5 * rng.normal(size=(n_kinds, n_inner))
    inner = np.repeat(centers, n_each, axis=0)
    inner += rng.normal(size=inner.shape)
    X = inner @ rng.normal(size=(n_inner, n_components))
    return X + 0.3 * rng.normal(size=X.shape)


def agreements(X, clusters, seed):
    """Return samples that a fit to 70 % did not see, and whether it agrees on them."""
    order = np.random.default_rng(seed).permutation(len(X))
    seen, unseen = np.split(order, [int(0.7 * len(X))])
    known = clusters.labels_[seen]
    n_clusters = len(clusters.ids_)
    again = LatentClusters(n_clusters, random_state=seed).fit(X[seen], known=known)
    return unseen, again.predict(X[unseen]) == clusters.labels_[unseen]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_probability_is_the_share_of_refits_that_agree(seed):
    X = overlapping(np.random.default_rng(seed))
    clusters = LatentClusters(n_clusters=7).fit(X)
    probability = clusters.predict_proba(X).max(axis=1)

    pairs = [agreements(X, clusters, 50 + again) for again in range(20)]

    unseen, agrees = map(np.concatenate, zip(*pairs, strict=True))
    assert probability[unseen].mean() == pytest.approx(agrees.mean(), abs=0.1)
    assert agrees[probability[unseen] > 0.95].mean() > 0.9


def test_temperature_changes_no_cluster(rng):
    X = overlapping(rng)
    clusters = LatentClusters(n_clusters=7).fit(X)
    chosen = clusters.ids_[clusters.predict_proba(X).argmax(axis=1)]

    clusters.temperature_ = 1.0

    np.testing.assert_array_equal(clusters.predict(X), chosen)


def test_ids_stay_when_data_arrive(rng):
    X, truth = blobs(rng, 5)
    early = truth < 3
    first = LatentClusters().fit(X[early])
    known = np.full(len(X), -1)
    known[early] = first.labels_

    second = LatentClusters(random_state=7).fit(X, known=known)

    np.testing.assert_array_equal(second.labels_[early], first.labels_)
    assert second.match_.kept == (0, 1, 2)
    assert second.match_.new == (3, 4)
    assert second.match_.moved_share == 0.0


@pytest.mark.parametrize(
    ("old", "new", "ids", "gone"),
    [
        ([5, 5, 2, 2], [0, 0, 1, 1], (5, 2), ()),
        ([0, 0, 0, 1], [0, 0, 0, 0], (0,), (1,)),
        ([3, 3, 3, 3, 3], [0, 0, 0, 1, 1], (3, 4), ()),
        ([-1, -1], [0, 1], (0, 1), ()),
        ([0] * 4 + [1] * 4, [0, 1, 2, 2, 0, 1, 3, 3], (2, 3, 0, 1), ()),
        ([9] + [-1] * 3, [0, 0, 0, 0], (9,), ()),
        ([0] * 9, [0, *([1] * 4), *([2] * 4)], (1, 2, 3), (0,)),
    ],
    ids=["swapped", "merged", "split", "all-new", "stray", "grown", "scattered"],
)
def test_clusters_keep_the_id_of_what_they_share(old, new, ids, gone):
    match = match_clusters(old, new, max(new) + 1)

    assert match.ids == ids
    assert match.gone == gone


def test_a_few_stray_members_make_no_cluster_the_old_one():
    old = [0] * 10 + [-1] * 10
    new = [0, 1, *([2] * 2), *([3] * 2), *([4] * 2), *([5] * 2)] + [0] * 5 + [1] * 5

    match = match_clusters(old, new, 6)

    assert 0 not in match.ids[:2]


def test_ids_that_were_used_once_are_never_given_again():
    match = match_clusters([1, 1, -1, -1], [0, 0, 1, 1], 2, next_id=6)

    assert match.ids == (1, 6)


def test_moved_share_counts_known_samples_only():
    match = match_clusters([0, 0, 0, 1, 1, -1], [0, 0, 1, 1, 1, 0], 2)

    assert match.moved_share == pytest.approx(1 / 5)


def test_chosen_number_leaves_no_cluster_of_one_or_two(rng):
    kinds = np.repeat(np.eye(3, 24) * 20, 6, axis=0)
    X = kinds + rng.normal(size=kinds.shape)

    labels = LatentClusters().fit(X).labels_

    assert np.bincount(labels).min() >= 3


def test_number_that_was_asked_for_may_leave_single_samples():
    labels = LatentClusters(n_clusters=3).fit(np.eye(3)).labels_

    assert sorted(labels) == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "known", "message"),
    [
        ({"n_clusters": 9}, None, "n_samples=4, got 9"),
        ({"n_clusters": 0}, None, "got 0"),
        ({}, [1, 2], r"shape \(2,\), X 4 samples"),
    ],
    ids=["too-many", "none", "lengths"],
)
def test_settings_that_do_not_fit(options, known, message):
    with pytest.raises(ValueError, match=message):
        LatentClusters(**options).fit(np.eye(4), known=known)
