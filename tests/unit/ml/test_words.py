from dataclasses import replace

import numpy as np
import pytest

from ainerd_bluesky.errors import NamingError
from ainerd_bluesky.ml.classification import Classification
from ainerd_bluesky.ml.naming import Naming, Vocabulary
from ainerd_bluesky.ml.parts import Parts, parts_of
from ainerd_bluesky.ml.words import ModelWords, with_names
from ainerd_bluesky.xpcs.quality.checks import Quality

N_COMPONENTS = 8


def at(*coordinates):
    """Return a point: the coordinates given, the others zero."""
    return np.pad(np.array(coordinates, float), (0, N_COMPONENTS - len(coordinates)))


def words_at(*means, n_examples=10_000):
    return ModelWords(
        words=tuple(f"word-{index}" for index in range(len(means))),
        means=np.array(means),
        n_examples=np.full(len(means), n_examples),
        class_means=np.array([at(0), at(20)]),
        whitening=np.eye(N_COMPONENTS),
        sha256="0" * 64,
    )


@pytest.mark.parametrize(
    ("point", "share"),
    [
        (at(0, 8), 1.0),
        (at(0), 0.0),
        (at(0, 4), 0.5),
        (at(20), 0.0),
        (at(0, 4.5), 0.982),
    ],
    ids=["its-mean", "a-class", "half-way", "another-class", "nearer"],
)
def test_share_is_that_of_a_linear_discriminant(point, share):
    (shares,) = words_at(at(0, 8)).shares(point[None])

    assert shares["word-0"] == pytest.approx(share, abs=2e-3)


def test_shares_of_all_words_add_up_to_one_at_most(rng):
    shares = words_at(at(0, 8), at(8), at(0, 0, 5)).shares(
        rng.normal(0, 8, (100, N_COMPONENTS))
    )

    totals = [sum(row.values()) for row in shares]
    assert max(totals) <= 1 + 1e-12
    assert min(totals) < 0.01


def test_word_given_to_two_far_places_is_at_both_and_not_between():
    once = words_at(at(0, 8), at(0, -8))
    gel = replace(once, words=("gel", "gel"))

    shares = gel.shares(np.array([at(0, 8), at(0, -8), at(0)]))

    assert [row["gel"] for row in shares] == pytest.approx([1, 1, 0], abs=2e-3)


def test_word_given_twice_is_no_more_probable_than_one_given_once():
    words = replace(words_at(at(0, 8), at(0, 8)), words=("gel", "gel"))

    (shares,) = words.shares(at(0, 4)[None])

    assert shares["gel"] == pytest.approx(0.5, abs=2e-3)


def test_word_of_a_wide_cluster_reaches_its_ends():
    ends = np.array([at(0, 8), at(0, 30)])
    once = words_at(ends.mean(axis=0))
    parts = Parts(tuple(map(tuple, ends.tolist())), (10_000, 10_000))

    shares = replace(once, parts=(parts,)).shares(ends)

    assert once.shares(ends)[0]["word-0"] < 0.01
    assert min(row["word-0"] for row in shares) > 0.99


@pytest.mark.parametrize(("n_each", "n_parts"), [(1, 1), (12, 4), (200, 16)])
def test_parts_hold_all_members_and_say_how_wide_they_are(rng, n_each, n_parts):
    Z = rng.normal(0, 2, (n_each, N_COMPONENTS))

    parts = parts_of(Z)

    assert (len(parts.means), sum(parts.sizes)) == (n_parts, n_each)
    mean = np.average(parts.means, axis=0, weights=parts.sizes)
    np.testing.assert_allclose(mean, Z.mean(axis=0), atol=1e-3)


def test_spread_of_one_part_is_the_variance_of_its_members(rng):
    Z = np.repeat(rng.normal(size=(5, N_COMPONENTS)) * 1e3, 3, axis=0)
    Z += rng.normal(0, 2, Z.shape)

    assert parts_of(Z).spread(np.eye(N_COMPONENTS)) == pytest.approx(4, rel=0.4)


def test_members_that_are_alike_make_a_word_that_reaches_a_little_further():
    parts = parts_of(np.ones((9, N_COMPONENTS)))

    assert parts.means == ((1.0,) * N_COMPONENTS,)
    assert parts.spread(np.eye(N_COMPONENTS)) == pytest.approx(0.1)


def test_whitening_sets_the_scale_of_distances():
    words = words_at(at(0, 8))
    stretched = ModelWords(
        words.words, 100 * words.means, words.n_examples, 100 * words.class_means,
        words.whitening / 100, words.sha256,
    )  # fmt: skip
    points = np.array([at(0, 3.9), at(1, 4.2)])

    assert stretched.shares(100 * points)[1] == pytest.approx(words.shares(points)[1])


def test_word_stands_for_the_class_that_its_examples_show(rng):
    mean = rng.normal(size=(5, N_COMPONENTS)).mean(axis=0)
    words = words_at(mean, n_examples=5)

    (shares,) = words.shares(at(0)[None])

    assert words.is_renamed.tolist() == [True, False]
    assert shares["word-0"] > 0.99


@pytest.mark.parametrize(
    ("distance", "n_examples", "is_renamed"),
    [(0.4, 1000, True), (1.0, 1000, False), (1.0, 5, True), (4.0, 5, False)],
)
def test_class_is_renamed_unless_examples_tell_otherwise(
    distance, n_examples, is_renamed
):
    words = words_at(at(distance), n_examples=n_examples)

    assert bool(words.is_renamed[0]) is is_renamed


def test_model_whose_classes_are_all_renamed():
    words = words_at(at(0), at(20))

    shares = words.shares(np.array([at(1), at(19)]))

    assert [max(row, key=row.get) for row in shares] == ["word-0", "word-1"]


def test_labels_of_the_model_remain_underneath():
    named = with_names({"aging": 0.8, "static": 0.2}, {"gel": 0.25, "foam": 0.25})

    assert named == pytest.approx(
        {"aging": 0.4, "static": 0.1, "gel": 0.25, "foam": 0.25}
    )


def answer(embedding, quality=None):
    return Classification(
        "aging", 0.9, {"aging": 0.9, "static": 0.1}, 2, 0.3,
        np.asarray(embedding, np.float32), quality or Quality.good(),
    )  # fmt: skip


def test_answers_get_the_word_and_keep_the_rest():
    given = answer(at(0, 8))

    (named,) = words_at(at(0, 8)).rename([given])

    assert (named.label, named.cluster, named.novelty) == ("word-0", 2, 0.3)
    assert named.confidence == named.probabilities["word-0"] > 0.99
    assert given.label == "aging"


def test_refused_and_missing_answers_stay_as_they_are():
    refused = Classification.refused(Quality.refusal("nan", "no"), N_COMPONENTS)

    assert words_at(at(0)).rename([None, refused]) == [None, refused]


def test_fingerprints_of_another_size():
    with pytest.raises(NamingError, match="5 components, the words 8"):
        words_at(at(0)).shares(np.ones((1, 5)))


@pytest.fixture(scope="module")
def fingerprints(shipped):
    """Fingerprints of simulated maps, the model's probabilities, and the truth."""
    from ainerd_bluesky.ml.maps import SAMPLE_SIZE
    from ainerd_bluesky.ml.simulated_maps import simulate_map_set

    maps = simulate_map_set(180, np.random.SeedSequence(91), size=SAMPLE_SIZE)
    Z = shipped.embed(list(maps.samples))
    return Z.astype(float), maps.labels


def test_five_examples_of_each_kind_name_the_others(fingerprints, shipped, rng):
    """Chance is 0.11: nine words, equally frequent."""
    Z, y = fingerprints
    kinds = np.unique(y)
    picked = {kind: rng.choice(np.flatnonzero(y == kind), 5, False) for kind in kinds}
    acts = [
        Naming(
            "name", f"my-{kind}", "ann", "now", model_sha256=shipped.sha256,
            mean=tuple(Z[chosen].mean(axis=0)), n_examples=5,
        )
        for kind, chosen in picked.items()
    ]  # fmt: skip
    words = Vocabulary(tuple(acts)).for_model(shipped)
    others = np.setdiff1d(np.arange(len(y)), np.concatenate(list(picked.values())))

    best = [max(row, key=row.get) for row in words.shares(Z[others])]

    assert np.mean([f"my-{kind}" for kind in y[others]] == np.array(best)) > 0.85


def test_members_of_a_named_cluster_get_its_word_and_few_others_do(
    fingerprints, shipped
):
    from ainerd_bluesky.ml.clustering import LatentClusters

    Z, _ = fingerprints
    clusters = LatentClusters(n_clusters=8).fit(Z)
    members, strangers = [], []
    for number, mean in zip(clusters.ids_, clusters.means_, strict=True):
        is_member = clusters.labels_ == number
        act = Naming(
            "name", "gel", "ann", "now", model_sha256=shipped.sha256,
            mean=tuple(mean), n_examples=int(is_member.sum()),
            parts=parts_of(Z[is_member]),
        )  # fmt: skip
        shares = Vocabulary((act,)).for_model(shipped).shares(Z)
        is_named = np.array([row["gel"] for row in shares]) > 0.5
        members.append(is_named[is_member].mean())
        strangers.append(is_named[~is_member].mean())

    assert np.mean(members) > 0.95
    assert min(members) > 0.8
    assert np.mean(strangers) < 0.02
