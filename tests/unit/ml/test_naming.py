import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ainerd_bluesky.errors import NamingError
from ainerd_bluesky.ml.naming import Naming, Vocabulary, check_word
from ainerd_bluesky.ml.parts import Parts
from ainerd_bluesky.vocabulary import Label

MODEL = SimpleNamespace(
    sha256="a" * 64,
    latent=SimpleNamespace(means=np.zeros((1, 2)), whitening=np.eye(2)),
)
OTHER = SimpleNamespace(sha256="b" * 64, latent=MODEL.latent)


def act(action, word, new_word=None, who="ann"):
    return Naming(action, word, who, "2026-01-01T00:00:00+00:00", new_word)


def naming(word, mean=(3.0, 4.0), n_examples=5, model=MODEL):
    return replace(
        act("name", word),
        model_sha256=model.sha256,
        mean=mean,
        n_examples=n_examples,
        examples=("uid:1",),
    )


def told(*acts):
    vocabulary = Vocabulary()
    for one in acts:
        vocabulary = vocabulary.after(one)
    return vocabulary


@pytest.mark.parametrize(
    ("acts", "words"),
    [
        ([], ()),
        ([naming("gel"), naming("foam", (9.0, 4.0))], ("foam", "gel")),
        ([naming("gel"), naming("gel")], ("gel",)),
        ([naming("gel"), act("rename", "gel", "weak-gel")], ("weak-gel",)),
        ([naming("gel"), act("forget", "gel")], ()),
        ([naming("gel"), act("forget", "gel"), naming("gel")], ("gel",)),
    ],
    ids=["none", "two", "again", "renamed", "forgotten", "named-anew"],
)
def test_words_follow_from_the_history(acts, words):
    assert told(*acts).words == words


def test_history_keeps_what_was_forgotten():
    vocabulary = told(naming("gel"), act("forget", "gel", who="bob"))

    assert [(done.action, done.who) for done in vocabulary.history] == [
        ("name", "ann"),
        ("forget", "bob"),
    ]


@pytest.mark.parametrize(
    "word",
    [
        "Gel",
        "-gel",
        "3",
        "7k",
        "",
        "weak gel",
        "gel/1",
        "gél",
        *(str(w) for w in Label),
    ],
)
def test_word_that_cannot_be_given(word):
    with pytest.raises(NamingError, match=r"small letters|built in"):
        check_word(word)


@pytest.mark.parametrize("word", ["gel", "k7", "weak-gel-2"])
def test_word_that_can_be_given(word):
    check_word(word)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (act("rename", "foam", "gel-2"), "no word 'foam'; named words are: gel"),
        (act("forget", "foam"), "no word 'foam'"),
        (act("rename", "gel", "aging"), "built in"),
        (act("rename", "gel", "gel"), "there already"),
        (naming("foam", n_examples=0), "needs an example"),
        (naming("static"), "built in"),
    ],
    ids=["unknown", "forget-unknown", "to-built-in", "taken", "empty", "built-in"],
)
def test_act_that_cannot_follow(wrong, message):
    with pytest.raises(NamingError, match=message):
        told(naming("gel")).after(wrong)


def test_words_are_those_of_the_model_that_was_named_with():
    vocabulary = told(naming("gel"), naming("foam", model=OTHER))

    assert vocabulary.for_model(MODEL).words == ("gel",)
    assert vocabulary.for_model(OTHER).words == ("foam",)
    assert told().for_model(MODEL) is None


def test_word_given_twice_keeps_both_places():
    acts = [
        naming("gel", (0.0, 0.0), 1),
        naming("foam", (9.0, 4.0)),
        naming("gel", (4.0, 8.0), 3),
    ]

    words = told(*acts).for_model(MODEL)

    assert words.words == ("foam", "gel", "gel")
    np.testing.assert_array_equal(words.means, [[9.0, 4.0], [0.0, 0.0], [4.0, 8.0]])
    np.testing.assert_array_equal(words.n_examples, [5, 1, 3])


def test_same_examples_given_again_count_once():
    once, twice = told(naming("gel")), told(naming("gel"), naming("gel"))

    assert twice.for_model(MODEL).sha256 == once.for_model(MODEL).sha256
    assert len(twice.history) == 2


def cluster(word, reference="nine:7", mean=(3.0, 4.0), parts=None):
    named = replace(naming(word, mean), examples=(), cluster=reference)
    return replace(named, parts=parts)


@pytest.mark.parametrize(
    ("second", "named"),
    [
        (cluster("foam"), "cluster nine:7"),
        (cluster("foam", mean=(5.0, 5.0)), "cluster nine:7"),
        (cluster("foam", "ten:0"), "cluster ten:0"),
        (naming("foam"), "this"),
    ],
    ids=["same", "found-again", "in-another-set", "its-mean"],
)
def test_what_has_a_word_gets_no_second_one(second, named):
    with pytest.raises(
        NamingError, match=f"{named} is 'gel' already.*--rename gel foam"
    ):
        told(cluster("gel"), second)


def test_cluster_gets_another_word_once_the_first_is_forgotten():
    acts = [cluster("gel"), act("forget", "gel"), cluster("foam")]

    assert told(*acts).words == ("foam",)


PARTS = Parts(((3.0, 3.0), (3.0, 5.0)), (3, 2), ((0.5, 0.0),))


def test_cluster_named_again_has_the_parts_that_were_not_kept_before():
    words = told(cluster("gel"), cluster("gel", parts=PARTS)).for_model(MODEL)

    assert words.parts == (PARTS,)


def test_act_without_parts_is_read_and_hashed_as_before_there_were_any():
    text = '[["gel"],[5],[[3.0,4.0]]]'

    assert "parts" not in cluster("gel").to_json()
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert told(cluster("gel")).for_model(MODEL).sha256 == expected


def test_parts_survive_json():
    named = cluster("gel", parts=PARTS)

    assert Naming.from_json(json.loads(json.dumps(named.to_json()))) == named


@pytest.mark.parametrize(
    "wrong",
    [
        {"means": []},
        {"means": [[1.0]]},
        {"means": [[1.0, float("nan")], [0.0, 0.0]]},
        {"sizes": [1]},
        {"sizes": [1, 0]},
        {"deviations": [[1.0]]},
        {"colour": 1},
        {"means": [[1.0]], "sizes": [1], "deviations": []},
    ],
)
def test_parts_that_cannot_be(wrong):
    document = cluster("gel", parts=PARTS).to_json()

    with pytest.raises(NamingError, match="no act of naming"):
        Naming.from_json({**document, "parts": {**document["parts"], **wrong}})


def test_word_of_fingerprints_of_another_size():
    with pytest.raises(NamingError, match=r"'gel' has 3 components.*--forget gel"):
        told(naming("gel", (1.0, 2.0, 3.0))).for_model(MODEL)


def test_renaming_changes_the_hash_and_renaming_back_restores_it():
    first = told(naming("gel"))
    second = first.after(act("rename", "gel", "foam"))
    third = second.after(act("rename", "foam", "gel"))

    hashes = [v.for_model(MODEL).sha256 for v in (first, second, third)]

    assert hashes[0] == hashes[2] != hashes[1]


def test_json_gives_the_act_back():
    assert Naming.from_json(naming("gel").to_json()) == naming("gel")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("colour", 1),
        ("action", "praise"),
        ("action", "rename"),
        ("word", None),
        ("mean", ["far"]),
        ("mean", [float("nan"), 1.0]),
        ("mean", []),
        ("n_examples", 0),
        ("n_examples", "five"),
    ],
)
def test_document_that_is_no_act_of_naming(key, value):
    with pytest.raises(NamingError, match="no act of naming"):
        Naming.from_json({**naming("gel").to_json(), key: value})


def test_document_without_anything_is_no_act_of_naming():
    with pytest.raises(NamingError, match="no act of naming"):
        Naming.from_json({})
