"""Odd input is refused whole, or kept as plain values."""

import json
import math

import numpy as np
import pytest

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import (
    Axis,
    Candidate,
    Coverage,
    Novelty,
    NoveltySelector,
    Observation,
    SelectorSettings,
    StrategySelector,
    Turns,
    WantedLabel,
    WantedLabelSelector,
    WantedProperty,
    discovery,
    load_selector,
)

LINE = [Candidate(f"s{n}", (float(n),)) for n in range(5)]
SUMMARY = {
    "label": "aging",
    "confidence": 0.9,
    "novelty": 0.3,
    "probabilities": {"aging": 0.9},
}


def seen(name, **changes):
    return Observation(name, "aging", 0.9, 0.1, {"aging": 0.9}, **changes)


@pytest.mark.parametrize(
    "odd",
    [
        {"probabilities": {"aging": None}},
        {"probabilities": {"aging": "likely"}},
        {"probabilities": ["aging"]},
        {"probabilities": None},
        {"novelty": None},
        {"confidence": 10**400},
        {"physics": ["relaxation_rate"]},
    ],
    ids=str,
)
def test_a_summary_with_what_is_no_number_is_refused(odd):
    with pytest.raises(SelectionError, match="summary of 's1' cannot be used"):
        Observation.from_summary("s1", SUMMARY | odd)


@pytest.mark.parametrize("odd", [None, "1", np.ones(2), 10**400, 1j], ids=str)
@pytest.mark.parametrize("field", ["novelty", "confidence", "probabilities"])
def test_an_observation_with_what_is_no_number_changes_nothing(field, odd):
    values = {"name": "s1", "label": "aging", "confidence": 0.9, "novelty": 0.1}
    values[field] = {"aging": odd} if field == "probabilities" else odd
    selector = StrategySelector(LINE, Coverage())
    before = selector.state_hash
    with pytest.raises(SelectionError, match="of 's1' must be within 0 to 1"):
        selector.ingest([Observation(**values)])
    assert selector.state_hash == before


@pytest.mark.parametrize(
    "odd", [1e154, -1e200, math.inf, math.nan, 10**400, np.ones(2), None, "KWW"]
)
def test_a_property_that_cannot_be_reckoned_with_is_unknown(odd):
    assert seen("s0", physics={"rate": odd}).as_json()["physics"] == {}
    selector = StrategySelector(LINE, WantedProperty("rate", 1.0, 0.1))
    selector.ingest(
        [seen("s0", physics={"rate": odd}), seen("s1", physics={"rate": 2.0})]
    )
    [found] = selector.suggest()
    assert "rate 2 expected" in found.reason
    assert load_selector(selector.state()).state_hash == selector.state_hash


def test_observations_may_come_one_by_one():
    selector = StrategySelector(LINE, Coverage())
    selector.ingest(seen(f"s{n}") for n in range(3))
    assert [found.name for found in selector.observations] == ["s0", "s1", "s2"]


def test_candidates_are_kept_as_plain_values():
    places = np.linspace(0, 1, 3, dtype=np.float32)
    selector = StrategySelector(
        [Candidate(n, (place,), np.float32(2.0)) for n, place in enumerate(places)],
        Coverage(),
    )
    [found] = selector.suggest()
    json.dumps(found.decision.as_json())
    assert selector.pending == ("1",)
    again = load_selector(json.loads(json.dumps(selector.state())))
    assert again.state_hash == selector.state_hash


@pytest.mark.parametrize("coordinate", [None, "left", 1j], ids=str)
def test_a_coordinate_that_is_no_number_is_named(coordinate):
    with pytest.raises(SelectionError, match=r"name='s0'.* cannot be used"):
        StrategySelector([Candidate("s0", (coordinate,))], Coverage())


def test_what_is_done_to_a_state_is_not_done_to_the_selector():
    selector = StrategySelector(LINE, Coverage())
    selector.ingest([seen("s0")])
    state = selector.state()
    state["events"][0]["name"] = "s4"
    state["events"][0]["probabilities"]["aging"] = 0.0
    assert load_selector(selector.state()).observations == selector.observations


def test_what_is_done_to_the_wanted_labels_is_not_done_to_the_strategy():
    wanted = {"aging": 1.0}
    strategy = WantedLabel(wanted)
    wanted["agin"] = -1.0
    assert strategy == WantedLabel({"aging": 1.0})


def test_a_refused_run_is_no_word_for_dynamics():
    with pytest.raises(SelectionError, match="'invalid' is what the quality gate"):
        StrategySelector(LINE, Coverage(), vocabulary=["aging", "invalid"])


def test_many_names_that_repeat_are_not_all_listed():
    candidates = [Candidate(f"s{n}") for n in range(1000)] * 2
    with pytest.raises(SelectionError, match="and 992 more") as error:
        StrategySelector(candidates, Coverage())
    assert len(str(error.value)) < 200


NAMED = {"model_label": "static", "novelty": 0.3, "confidence": 0.8}


@pytest.mark.parametrize(
    ("probabilities", "known", "confidence"),
    [
        ({"static": 0.15, "aging": 0.05, "foam": 0.8},
         {"static": 0.75, "aging": 0.25}, 0.75),
        ({"static": 0.0, "foam": 1.0}, {}, 0.8),
        ({"foam": 1.0}, {}, 0.8),
    ],
    ids=["shared", "nothing left", "only words"],
)  # fmt: skip
def test_in_place_of_an_unknown_word_stands_the_label_of_the_model(
    probabilities, known, confidence
):
    summary = NAMED | {"label": "foam", "probabilities": probabilities}
    found = Observation.from_summary("s1", summary, ["static", "aging"])
    assert found.label == "static"
    assert found.probabilities == pytest.approx(known)
    assert found.confidence == pytest.approx(confidence)


def test_a_known_label_stays_without_the_words_beside_it():
    summary = NAMED | {"label": "aging", "probabilities": {"aging": 0.8, "foam": 0.2}}
    found = Observation.from_summary("s1", summary, ["static", "aging"])
    assert (found.label, found.confidence) == ("aging", 0.8)
    assert found.probabilities == {"aging": 1.0}


@pytest.mark.parametrize("vocabulary", [None, ["static", "foam"]], ids=str)
def test_a_word_of_the_vocabulary_is_learned_as_it_is(vocabulary):
    summary = NAMED | {"label": "foam", "probabilities": {"foam": 0.8, "static": 0.1}}
    found = Observation.from_summary("s1", summary, vocabulary)
    assert (found.label, found.confidence) == ("foam", 0.8)
    assert found.probabilities == {"foam": 0.8, "static": 0.1}


@pytest.mark.parametrize("odd", [math.nan, -0.5, 1.5], ids=str)
def test_leaving_words_out_makes_no_probability_of_what_is_none(odd):
    summary = NAMED | {"label": "foam", "probabilities": {"static": odd, "foam": 0.0}}
    found = Observation.from_summary("s1", summary, ["static"])
    selector = StrategySelector(LINE, Coverage(), vocabulary=["static"])
    with pytest.raises(SelectionError, match="of 's1' must be within 0 to 1"):
        selector.ingest([found])


@pytest.mark.parametrize(
    "make",
    [
        lambda words: NoveltySelector(LINE, vocabulary=words),
        lambda words: WantedLabelSelector(LINE, {"foam": 1.0}, vocabulary=words),
    ],
    ids=["novelty", "wanted label"],
)
def test_selectors_for_the_usual_purposes_know_words_of_ones_own(make):
    selector = make(["static", "foam"])
    selector.ingest([Observation("s1", "foam", 0.9, 0.1)])
    assert load_selector(selector.state()).vocabulary == ("static", "foam")


class Steep(Novelty):
    """Scores that are as large as they may be, and more."""

    def score(self, situation):
        return np.full(len(situation.chance), self.exploration)


def test_what_is_as_large_as_allowed_gives_numbers():
    axis = Axis("T", -1e100, 1e100, seconds_per_unit=1e100, settle=1e100)
    candidates = [
        Candidate(f"s{n}", (t,), 1e100) for n, t in enumerate((-1e100, 1e100))
    ]
    selector = StrategySelector(
        candidates, Steep(1e100), axes=[axis], settings=SelectorSettings(cost_weight=1)
    )
    found = [selector.suggest()[0].decision for _ in candidates]
    values = [[one.score, one.cost, *one.values.values()] for one in found]
    assert np.isfinite(np.concatenate(values)).all()


@pytest.mark.parametrize("score", [1e101, 1e308])
def test_a_score_that_costs_could_make_no_number_chooses_nothing(score):
    selector = StrategySelector(LINE, Steep(score))
    with pytest.raises(SelectionError, match="gave 5 of 5 candidates no usable score"):
        selector.suggest()


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (discovery, "got <function discovery.*: call it"),
        (Coverage, "got <class .*Coverage.*: call it"),
        ("coverage", "got 'coverage'$"),
    ],
    ids=["function", "class", "name"],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda strategy: StrategySelector(LINE, strategy),
        lambda strategy: Turns((Coverage(), strategy), (1.0, 1.0)),
    ],
    ids=["alone", "part"],
)
def test_what_is_no_strategy_is_named(use, strategy, message):
    with pytest.raises(SelectionError, match=message):
        use(strategy)
