"""Clusters and words of a beamline in a real catalog, by commands and by hand."""

import functools
import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import typer
from tiled.client.container import Container
from typer.testing import CliRunner

from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.errors import (
    AinerdError,
    ConfigError,
    FingerprintError,
    NamingError,
)
from ainerd_bluesky.ml.naming import Naming
from ainerd_bluesky.pipeline import Analysis
from flows.chain import known_words
from tiled_adapters.catalog import set_metadata
from tiled_adapters.clusters import ClusterStore
from tiled_adapters.commands import register
from tiled_adapters.embeddings import example, read_embeddings, run_summaries
from tiled_adapters.publish import ResultsPublisher
from tiled_adapters.specs import CLUSTERS, RESULTS_CATALOG
from tiled_adapters.vocabulary import VocabularyStore

pytestmark = [pytest.mark.integration, pytest.mark.slow]
pytest.importorskip("torch")


@functools.cache
def application():
    app = typer.Typer()
    register(app)
    return app


@dataclass(frozen=True, eq=False)
class Place:
    """A container of results of one's own, and a terminal."""

    root: Container
    path: str
    uri: str
    api_key: str

    @property
    def results(self):
        return self.root[self.path]

    def ainerd(self, *arguments):
        """Run a command; return what it printed."""
        options = ["--uri", self.uri, "--path", self.path]
        environment = {"TILED_API_KEY": self.api_key, "COLUMNS": "200"}
        outcome = CliRunner().invoke(
            application(), [*arguments, *options], env=environment
        )
        if outcome.exception is not None:
            raise outcome.exception
        return outcome.output


@pytest.fixture(scope="module")
def make_place(catalog, tiled_server):
    def make():
        folder = f"names-{uuid.uuid4().hex[:8]}"
        parent = catalog.create_container(folder)
        parent.create_container("xpcs", specs=[RESULTS_CATALOG])
        uri, api_key = tiled_server.uri, tiled_server.api_key
        return Place(catalog, f"{folder}/xpcs", uri, api_key)

    return make


@pytest.fixture(scope="module")
def place(make_place):
    """Where results and words stay as they are: use sets of your own."""
    return make_place()


@pytest.fixture
def own_place(make_place):
    """Where anything may be done."""
    return make_place()


@pytest.fixture(scope="module")
def model():
    from ainerd_bluesky.ml import load_model

    return load_model()


def analysis(model, kind, index, **identity):
    """Return a result whose two bins lie at a class of the model."""
    rng = np.random.default_rng(index)
    word = model.card["classes"][kind]
    noise = rng.normal(size=(2, len(model.latent.means[0])))
    back = np.linalg.inv(model.latent.whitening)
    Z = model.latent.means[kind] + 0.5 * noise @ back
    uid = f"run-{index:02d}-{uuid.uuid4().hex[:8]}"
    return Analysis(
        run_uid=uid,
        recipe={"run_uid": uid, "min_confidence": 0.5},
        provenance={},
        summary={
            "label": word,
            "model_label": word,
            "vocabulary": None,
            "confidence": 1.0,
            "probabilities": {word: 1.0},
            "quality": {"ok": True, "flags": [], "reasons": []},
            "model": {"name": "m", "version": "1", "sha256": model.sha256, **identity},
        },
        arrays={"embedding": Z.astype(np.float32)},
        bins={
            "q_bin": [2, 5],
            "label": [word, word],
            "confidence": [1.0, 1.0],
            "weight": [0.75, 0.25],
            **{
                f"p_{other}": [float(other == word)] * 2
                for other in model.card["classes"]
            },
        },
    )


def publish(place, analyses):
    publisher = ResultsPublisher(place.results)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(publisher.publish, analyses))
    return analyses


@pytest.fixture(scope="module")
def published(place, model):
    """Runs of three kinds, four of each, in turn."""
    return publish(place, [analysis(model, index % 3, index) for index in range(12)])


def test_who_names_at_once_loses_nothing(connect, own_place):
    def name(worker):
        store = VocabularyStore(connect(), own_place.path)
        for index in range(2):
            word = f"word-{worker}-{index}"
            mean = (float(worker), float(index))
            store.add(Naming("name", word, "ann", "now", mean=mean, n_examples=1))

    with ThreadPoolExecutor(3) as people:
        list(people.map(name, range(3)))

    history = VocabularyStore(own_place.root, own_place.path).load().history
    expected = [f"word-{worker}-{index}" for worker in range(3) for index in range(2)]
    assert sorted(done.word for done in history) == expected


def test_act_is_stored_as_it_was_given(own_place):
    naming = Naming(
        "name", "gel", "ann", "2026-01-01T00:00:00+00:00", None, "ab" * 32,
        (0.1, float(np.float32(1e-7))), 2, ("uid:1", "uid"), "gels:3",
    )  # fmt: skip
    store = VocabularyStore(own_place.root, own_place.path)
    before = store.load().history

    store.add(naming)

    assert before == ()
    assert store.load().history == (naming,)


def config_of(place):
    return BeamlineConfig.model_validate(
        {
            "name": "b",
            "detector": {"field": "eiger"},
            "partition": {"path": Path("q.hdf")},
            "catalog": {"processed": place.path},
        }
    )


def test_worker_knows_a_word_as_soon_as_it_is_given(own_place, model):
    config = config_of(own_place)
    mean = tuple(model.latent.means[0].tolist())
    gel = Naming("name", "gel", "ann", "now", None, model.sha256, mean, 1)
    before = known_words(model, config, own_place.root)

    VocabularyStore(own_place.root, own_place.path).add(gel)

    assert before is None
    assert known_words(model, config, own_place.root).words == ("gel",)


def test_foreign_node_among_the_acts_is_no_word_and_takes_no_number(own_place):
    store = VocabularyStore(own_place.root, own_place.path)
    store.add(Naming("name", "gel", "ann", "now", mean=(1.0,), n_examples=1))
    folder = own_place.root[own_place.path.replace("xpcs", "vocabulary")]
    folder.create_container("000001", metadata={"naming": "mine"})

    store.add(Naming("name", "foam", "ann", "now", mean=(2.0,), n_examples=1))

    assert store.load().words == ("foam", "gel")


def test_run_goes_on_without_words_that_cannot_be_used(own_place, model, caplog):
    odd = Naming("name", "gel", "ann", "now", None, model.sha256, (1.0,), 1)
    VocabularyStore(own_place.root, own_place.path).add(odd)

    assert known_words(model, config_of(own_place), own_place.root) is None
    assert "'gel' has 1 components" in caplog.text


def test_embeddings_are_those_of_valid_bins_of_one_model(own_place, model):
    other = analysis(model, 0, 0, sha256="ff" * 32)
    mixed = analysis(model, 0, 1)
    mixed.bins["label"][1] = "invalid"
    for one in (other, mixed):
        ResultsPublisher(own_place.results).publish(one)

    table = read_embeddings(own_place.results, run_summaries(own_place.results))

    assert (len(table), table.n_other_models) == (1, 1)
    np.testing.assert_array_equal(table.Z, mixed.arrays["embedding"][:1])
    assert table.bins.to_numpy().tolist() == [
        [mixed.run_uid, 2, model.card["classes"][0]]
    ]


def test_embeddings_that_are_not_finite_are_left_out_and_named(
    own_place, model, caplog
):
    one = analysis(model, 0, 0)
    one.arrays["embedding"][1, 3] = np.nan
    ResultsPublisher(own_place.results).publish(one)

    table = read_embeddings(own_place.results, run_summaries(own_place.results))

    assert table.bins["q_bin"].tolist() == [2]
    np.testing.assert_array_equal(table.Z, one.arrays["embedding"][:1])
    assert f"1 q-bins of run {one.run_uid}; process it again" in caplog.text
    assert np.isfinite(example(own_place.results, f"{one.run_uid}:2")[1]).all()
    with pytest.raises(NamingError, match=f"{one.run_uid}:5 is not finite"):
        example(own_place.results, f"{one.run_uid}:5")


@pytest.mark.parametrize(
    ("q_bin", "weights"), [("", [0.75, 0.25]), (":2", [1, 0]), (":5", [0, 1])]
)
def test_example_is_a_run_or_one_bin(place, published, q_bin, weights):
    one = published[0]

    name, z, _ = example(place.results, f"{one.run_uid}{q_bin}")

    assert name == f"{one.run_uid}{q_bin}"
    np.testing.assert_allclose(z, np.array(weights) @ one.arrays["embedding"], 1e-6)


def test_example_that_is_not_there(place, published):
    with pytest.raises(NamingError, match="no result of a run 'nobody'"):
        example(place.results, "nobody")
    with pytest.raises(NamingError, match="valid ones are: 2, 5"):
        example(place.results, f"{published[0].run_uid}:3")


@pytest.fixture(scope="module")
def three(place, published):
    """What `clusters fit` printed of the set `three`."""
    return place.ainerd("clusters", "fit", "--name", "three", "--n-clusters", "3")


@pytest.fixture
def store(place):
    return ClusterStore(place.root, place.path)


@pytest.fixture
def found(three, store):
    """A finding that follows none."""
    return store.load("three")


def test_clusters_are_kept_with_their_members(place, three):
    rows = json.loads(place.ainerd("clusters", "show", "--name", "three", "--json"))

    assert "3 clusters 'three'" in three
    assert [row["n_bins"] for row in rows] == [8, 8, 8]
    assert {row["labels"][0][1] for row in rows} == {1.0}


def test_cluster_is_found_among_the_members_of_another(place, published):
    two = ("--n-clusters", "2")
    place.ainerd("clusters", "fit", "--name", "coarse", *two)

    place.ainerd("clusters", "fit", "--name", "fine", "--within", "coarse:0", *two)

    store = ClusterStore(place.root, place.path)
    coarse, fine = store.load("coarse"), store.load("fine")
    chosen = coarse.members[coarse.members["cluster"] == 0]
    assert set(fine.members["run_uid"]) == set(chosen["run_uid"])
    assert fine.metadata["parent"] == "coarse:0"


def test_half_written_finding_does_not_count(place, store, found):
    store.save("half", found)
    folder = place.root[place.path.replace("xpcs", "clusters"), "half"]
    folder.create_container("0001", metadata={"status": "writing"})

    assert store.load("half").number == 0


def test_set_whose_first_finding_broke_can_be_found_again(place, store, found):
    folder = place.root[place.path.replace("xpcs", "clusters")]
    broken = folder.create_container("broken")
    broken.create_container("0000", metadata={"status": "writing"}, specs=[CLUSTERS])

    before = store.names()
    store.save("broken", found)

    assert "broken" not in before
    assert "broken" in store.names()


def test_set_that_is_there_is_not_made_again(place, three):
    with pytest.raises(SystemExit):
        place.ainerd("clusters", "fit", "--name", "three")


def test_of_two_findings_that_follow_the_same_one_the_second_is_refused(store, found):
    store.save("raced", found)

    with pytest.raises(FingerprintError, match="meanwhile"):
        store.save("raced", found)
    assert store.load("raced").number == 0


def test_more_clusters_than_fingerprints(place, published):
    with pytest.raises(FingerprintError, match="24 fingerprints cannot make 40"):
        place.ainerd("clusters", "fit", "--name", "many", "--n-clusters", "40")


def test_set_that_is_not_there(place):
    with pytest.raises(FingerprintError, match="no clusters 'gels'"):
        ClusterStore(place.root, place.path).load("gels")


def test_ids_stay_when_runs_arrive(own_place, model):
    publish(own_place, [analysis(model, index % 2, index) for index in range(8)])
    place = own_place
    place.ainerd("clusters", "fit", "--n-clusters", "2")
    first = ClusterStore(place.root, place.path).load()
    publish(place, [analysis(model, 2, index) for index in range(10, 13)])

    shown = place.ainerd("clusters", "show")
    output = place.ainerd("clusters", "refit", "--n-clusters", "3")

    second = ClusterStore(place.root, place.path).load()
    assert "3 runs came since" in shown
    assert "kept: 0, 1" in output
    assert "new: 2" in output
    assert second.metadata["match"]["moved_share"] == 0.0
    joined = first.members.merge(second.members, on=["run_uid", "q_bin"])
    assert (joined["cluster_x"] == joined["cluster_y"]).all()


def test_named_cluster_names_old_runs_and_forgetting_brings_labels_back(
    own_place, model
):
    place = own_place
    published = publish(place, [analysis(model, i % 3, i) for i in range(6)])
    word, other = model.card["classes"][:2]
    place.ainerd("clusters", "fit", "--n-clusters", "3")
    rows = json.loads(place.ainerd("clusters", "show", "--json"))
    chosen = next(row for row in rows if row["labels"][0][0] == word)

    output = place.ainerd("name", str(chosen["cluster"]), "gel", "--apply")

    assert f"2 runs: {word} -> gel" in output
    assert "4 of 4 members get the word" in output
    run = place.results[published[0].run_uid]
    assert (run.label, run.metadata["model_label"]) == ("gel", word)
    assert run.result.label == "gel"
    assert run.result.bins["label"].tolist() == ["gel", "gel"]
    assert place.results[published[1].run_uid].label == other
    assert "0 of 6 runs" in place.ainerd("relabel")
    place.ainerd("names", "--forget", "gel")
    assert f"2 runs: gel -> {word}" in place.ainerd("relabel")
    back = place.results[published[0].run_uid].metadata
    assert back["label"] == word
    assert back["probabilities"][word] == 1.0
    assert "gel" not in back["probabilities"]


def test_word_of_two_clusters_names_both(own_place, model):
    place = own_place
    publish(place, [analysis(model, i % 3, i) for i in range(9)])
    place.ainerd("clusters", "fit", "--n-clusters", "3")
    rows = json.loads(place.ainerd("clusters", "show", "--json"))
    words = model.card["classes"][:2]
    chosen = [row["cluster"] for row in rows if row["labels"][0][0] in words]

    for cluster in chosen:
        place.ainerd("name", str(cluster), "gel")
    place.ainerd("relabel")

    labels = place.results.labels_table()["label"].value_counts()
    assert labels.to_dict() == {"gel": 6, model.card["classes"][2]: 3}


def test_typical_bins_can_be_given_as_examples(own_place, model):
    place = own_place
    publish(place, [analysis(model, 0, index) for index in range(2)])
    place.ainerd("clusters", "fit", "--label", model.card["classes"][0])
    (uid, _) = place.results
    # Of another label, so of no cluster, and like a member but for its last character.
    twin = replace(analysis(model, 1, 9), run_uid=f"{uid[:-1]}x")
    publish(place, [twin])

    shown = place.ainerd("clusters", "show")
    typical = re.findall(r"run-\S+:[25]", shown)

    assert f"{uid}:2" in typical or f"{uid}:5" in typical
    for reference in typical:
        example(place.results, reference)


def test_given_words_are_no_labels_of_the_model(own_place, model):
    place = own_place
    word = model.card["classes"][0]
    named = analysis(model, 0, 0)
    named.bins["model_label"] = [word, word]
    named.bins["label"] = ["gel", "gel"]
    publish(place, [named])

    table = read_embeddings(place.results, run_summaries(place.results))

    assert table.bins["label"].tolist() == [word, word]


def test_name_of_a_person_is_no_markup(own_place, model):
    place = own_place
    (one,) = publish(place, [analysis(model, 0, 0)])

    output = place.ainerd(
        "name", "gel", f"--examples={one.run_uid}", "--who", "Bob [red]X[/red]"
    )

    assert "by Bob [red]X[/red]" in output


def test_cluster_with_a_word_gets_no_second_one(own_place, model):
    place = own_place
    publish(place, [analysis(model, i % 2, i) for i in range(4)])
    place.ainerd("clusters", "fit", "--n-clusters", "2")
    place.ainerd("name", "0", "gel")

    with pytest.raises(NamingError, match=r"default:0 is 'gel' already.*--rename gel"):
        place.ainerd("name", "0", "foam")

    assert VocabularyStore(place.root, place.path).load().words == ("gel",)


def test_cluster_whose_members_have_another_model_now(own_place, model):
    place = own_place
    runs = publish(place, [analysis(model, i % 2, i) for i in range(4)])
    place.ainerd("clusters", "fit", "--n-clusters", "1")
    for run in runs:
        run.summary["model"]["sha256"] = "ff" * 32
    publish(place, [replace(run, recipe={**run.recipe, "again": 1}) for run in runs])

    with pytest.raises(NamingError, match="refit --name default"):
        place.ainerd("name", "0", "gel")


def test_word_can_be_given_without_its_model_at_hand(own_place, model):
    place = own_place
    publish(place, [analysis(model, i % 2, i) for i in range(4)])
    place.ainerd("clusters", "fit", "--n-clusters", "1")

    output = place.ainerd("name", "0", "gel", "--model", "no-such-folder")

    assert "how many members get it is not known" in output
    (entry,) = VocabularyStore(place.root, place.path).load().entries
    assert sum(entry.parts.sizes) == 8


def test_model_that_cannot_be_loaded_leaves_no_act_behind(place, published):
    example_of = f"--examples={published[0].run_uid}"
    broken = ("--apply", "--model", "no-such-folder")

    with pytest.raises(AinerdError):
        place.ainerd("name", "half-done", example_of, *broken)

    assert "half-done" not in VocabularyStore(place.root, place.path).load().words


def test_words_are_put_beside_a_model_of_the_same_place(own_place, model):
    publish(own_place, [analysis(model, 0, 0)])

    with pytest.raises(ConfigError, match=own_place.path.replace("xpcs", "models")):
        own_place.ainerd("relabel", "--model", "registry:m")


def test_publishing_again_gives_a_relabelled_result_its_words_back(own_place, model):
    place, word = own_place, model.card["classes"][0]
    (one,) = publish(place, [analysis(model, 0, 0)])
    place.ainerd("name", "gel", f"--examples={one.run_uid}", "--apply")
    named = place.results[one.run_uid].label

    publish(place, [one])

    run = place.results[one.run_uid]
    assert (named, run.label, run.result.label) == ("gel", word, word)
    assert run.metadata["vocabulary"] is None
    assert run.result.bins["label"].tolist() == [word, word]


def test_relabelling_keeps_what_others_wrote_meanwhile(own_place, model):
    (one,) = publish(own_place, [analysis(model, 0, 0)])
    stale = own_place.results[one.run_uid]
    set_metadata(own_place.results[one.run_uid], {"remark": "look again"})

    set_metadata(stale, {"label": "gel"})

    metadata = own_place.results[one.run_uid].metadata
    assert (metadata["remark"], metadata["label"]) == ("look again", "gel")


def test_examples_name_their_like_and_what_cannot_be_named_is_counted(own_place, model):
    place = own_place
    published = publish(place, [analysis(model, i % 2, i) for i in range(6)])
    foreign, old = analysis(model, 0, 7, sha256="ff" * 32), analysis(model, 0, 8)
    del old.bins["weight"]
    publish(place, [foreign, old])
    examples = [f"--examples={published[index].run_uid}" for index in (0, 2)]

    output = place.ainerd("name", "gel", *examples, "--who", "ann", "--apply")

    found = set(place.results.find(label="gel", min_confidence=0.5))
    assert found == {published[index].run_uid for index in (0, 2, 4)}
    assert "1 runs were labelled by another model: process them again" in output
    assert "1 runs are from before words could be given" in output
    assert re.search(r"gel +.*examples +.*ann", place.ainerd("names"))
