import json

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml.projection import (
    FrozenProjection,
    is_discriminable,
    load_projection,
    save_projection,
)

SHA = "ab" * 32


@parametrize_with_checks(
    [FrozenProjection(1), FrozenProjection(1, method="discriminant")]
)
def test_estimator_follows_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture
def labelled():
    """Three classes apart along the second axis; the first varies most."""
    rng = np.random.default_rng(0)
    y = np.repeat(["aging", "static", "two-step"], 60)
    Z = rng.normal(size=(180, 5))
    Z[:, 0] *= 10
    Z[:, 1] += np.repeat([-6.0, 0.0, 6.0], 60)
    Z[60:120, 2] += 6.0
    return Z, y


def test_pca_shows_what_varies_most(labelled):
    components = FrozenProjection().fit(labelled[0]).components_

    assert components[0, 0] == pytest.approx(1.0, abs=0.02)
    assert abs(components[1, 1]) > 0.9


def test_discriminant_shows_what_tells_labels_apart(labelled):
    Z, y = labelled

    flat = FrozenProjection(method="discriminant").fit(Z, y).transform(Z)

    middles = {word: flat[y == word].mean(axis=0) for word in set(y)}
    nearest = [
        min(middles, key=lambda word: np.linalg.norm(middles[word] - point))
        for point in flat
    ]
    assert np.mean(np.array(nearest) == y) > 0.97


def test_points_keep_their_places_whatever_comes_later(labelled, tmp_path):
    Z, _ = labelled
    projection = FrozenProjection().fit(Z)
    save_projection(projection, tmp_path / "map.json", model_sha256=SHA)
    before = projection.transform(Z)

    again = load_projection(tmp_path / "map.json", model_sha256=SHA)

    later = np.concatenate([Z, 100 + Z])
    np.testing.assert_array_equal(again.transform(later)[: len(Z)], before)
    np.testing.assert_array_equal(again.limits_, projection.limits_)
    assert again.get_params() == projection.get_params()


def test_picture_is_the_same_for_rows_in_any_order(labelled):
    Z, y = labelled
    order = np.random.default_rng(1).permutation(len(Z))

    for method in ("pca", "discriminant"):
        one = FrozenProjection(method=method).fit(Z, y).transform(Z)
        other = FrozenProjection(method=method).fit(Z[order], y[order]).transform(Z)
        np.testing.assert_allclose(one, other, atol=1e-9)


@pytest.mark.parametrize(
    ("method", "n", "words", "message"),
    [
        ("umap", 2, 3, "got 'umap'"),
        ("discriminant", 2, 2, "axes need 3 labels, got 2"),
        ("pca", 6, 3, "n_components=6 .* 5 features"),
    ],
    ids=["method", "labels", "axes"],
)
def test_what_cannot_be_projected_is_named(labelled, method, n, words, message):
    Z, y = labelled
    chosen = np.isin(y, sorted(set(y))[:words])
    with pytest.raises(ValueError, match=message):
        FrozenProjection(n, method=method).fit(Z[chosen], y[chosen])


def test_labels_without_scatter_are_told_the_other_method():
    Z = np.repeat(np.eye(4), 2, axis=0)
    with pytest.raises(ValueError, match=r'8 samples of 4 labels .* method="pca"'):
        FrozenProjection(method="discriminant").fit(Z, np.repeat(list("abcd"), 2))


@pytest.mark.parametrize(
    ("counts", "is_enough"),
    [
        ([6, 6, 4], True),
        ([6, 6, 3], False),
        ([8, 8, 1], False),
        ([20, 20], False),
        ([1, 1, 1], False),
    ],
    ids=["enough", "few", "single", "two-labels", "young-catalog"],
)
def test_discriminant_needs_company(counts, is_enough):
    y = np.repeat(list("abc")[: len(counts)], counts)
    Z = np.random.default_rng(0).normal(size=(len(y), 5))

    assert is_discriminable(Z, y) is is_enough


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_sha256": "cd" * 32}, "model cdcdcdcdcdcd, these are of abababababab"),
        ({"mean": "x"}, "is no projection .* remove it"),
        ({"components": None}, "is no projection"),
        (None, "is no projection"),
    ],
    ids=["another-model", "no-numbers", "no-axes", "no-json"],
)
def test_file_that_does_not_fit_is_named(labelled, tmp_path, change, message):
    path = tmp_path / "map.json"
    save_projection(FrozenProjection().fit(labelled[0]), path, model_sha256=SHA)
    state = json.loads(path.read_text())
    path.write_text("{" if change is None else json.dumps(state | change))

    with pytest.raises(ModelError, match=message):
        load_projection(path, model_sha256=SHA)
