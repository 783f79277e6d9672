import time

import numpy as np
import pytest

from ainerd_bluesky.errors import FingerprintError
from ainerd_bluesky.ml.neighbours import NearestFingerprints


def brute_force(Z, z, n):
    distance = np.sqrt(((Z - z) ** 2).sum(axis=1))
    order = sorted(range(len(Z)), key=lambda row: (distance[row], row))[:n]
    return order, distance[order]


@pytest.mark.parametrize("n", [1, 7, 300])
@pytest.mark.parametrize("n_components", [1, 8, 64])
def test_neighbours_are_those_of_brute_force(n, n_components):
    rng = np.random.default_rng(n_components)
    Z, z = rng.normal(size=(300, n_components)), rng.normal(size=n_components)

    found = NearestFingerprints(Z).query(z, n)

    index, distance = brute_force(Z, z, n)
    assert found.index.tolist() == index
    np.testing.assert_allclose(found.distance, distance, rtol=1e-12)


def test_equally_near_ones_come_in_their_order():
    rng = np.random.default_rng(0)
    Z = rng.integers(0, 2, (500, 3)).astype(float)  # eight places, all shared

    for n in (1, 10, 100, 499):
        found = NearestFingerprints(Z).query([0.0, 0.0, 0.0], n)
        assert found.index.tolist() == brute_force(Z, 0.0, n)[0]


def test_itself_is_exactly_at_no_distance_even_far_from_the_origin():
    Z = np.random.default_rng(0).normal(1e6, 1e-3, (50, 64))

    found = NearestFingerprints(Z).query(Z[7], 2)

    assert found.index[0] == 7
    assert found.distance[0] == 0.0
    assert found.distance[1] > 0.0


def test_fewer_are_found_where_fewer_are_known():
    assert len(NearestFingerprints(np.eye(3)).query([0, 0, 0], 10).index) == 3


def test_hundred_thousand_are_searched_as_fast_as_by_scikit_learn():
    neighbors = pytest.importorskip("sklearn.neighbors")
    rng = np.random.default_rng(1)
    Z, z = rng.normal(size=(100_000, 64)), rng.normal(size=64)
    ours = NearestFingerprints(Z)
    theirs = neighbors.NearestNeighbors(n_neighbors=10, algorithm="brute").fit(Z)

    def best_of_five(search):
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            search()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    assert ours.query(z).index.tolist() == theirs.kneighbors([z])[1][0].tolist()
    # Measured: 0.2 to 0.6 of its time, about 0.02 s.
    assert best_of_five(lambda: ours.query(z)) < 3 * best_of_five(
        lambda: theirs.kneighbors([z])
    )


@pytest.mark.parametrize(
    ("Z", "z", "n", "message"),
    [
        (np.zeros(3), np.zeros(3), 1, r"got shape \(3,\)"),
        (np.full((2, 3), np.nan), np.zeros(3), 1, "fingerprint 0 of 2 holds nan"),
        (np.zeros((2, 3)), np.zeros(4), 1, "4 components cannot be compared .* 3"),
        (np.zeros((2, 3)), [0, 0, np.inf], 1, "holds inf"),
        (np.zeros((2, 3)), np.zeros(3), 0, "n must be at least 1, got 0"),
    ],
    ids=["flat", "nan", "another-model", "infinite", "none-wanted"],
)
def test_what_does_not_fit_is_named(Z, z, n, message):
    with pytest.raises(FingerprintError, match=message):
        NearestFingerprints(Z).query(z, n)
