"""A decision in words: each outcome of a run has its sentence."""

import pytest

from ainerd_bluesky.selection.decisions import Decision, Ranked
from tiled_adapters.decisions_story import DecisionStory, tell_story

DONE = {"exit_status": "success"}


def story(result=None, stop=DONE, other_sample="", **changes):
    values = {
        "number": 3,
        "chosen": "gel",
        "coordinates": {"temperature": 40.0},
        "strategy": "novelty",
        "score": 0.8,
        "cost": 0.0,
        "reason": "gel: unlike everything measured.",
        "values": {"novelty": 0.8125, "support": 0.1},
        "top": (Ranked("gel", 0.8, 0.0),),
        "n_candidates": 200,
        "n_observations": 12,
        "state_hash": "0" * 64,
    }
    decision = Decision(**{**values, **changes})
    return DecisionStory(
        "u", "night", decision, "raw/u", False, result or {}, stop, other_sample
    )


def test_a_choice_is_told_with_what_was_known():
    assert tell_story(story())[:3] == [
        "gel (temperature 40) was chosen by novelty out of 200 candidates: decision 3 "
        "of night.",
        "gel: unlike everything measured.",
        "Known then: 12 results; novelty 0.812, support 0.1.",
    ]


def test_one_is_not_told_as_many():
    told = tell_story(story(n_candidates=1, n_observations=1, values={}))
    assert "out of 1 candidate:" in told[0]
    assert told[2] == "Known then: 1 result."


@pytest.mark.parametrize(
    ("result", "stop", "sentence"),
    [
        ({"label": "aging", "confidence": 0.914}, DONE, "The run gave aging (0.91)."),
        (
            {"label": "aging", "confidence": None},
            DONE,
            "The run gave aging.",
        ),
        (
            {"label": "invalid", "quality": {"reasons": ["too dark", "no beam"]}},
            DONE,
            "The run was refused: too dark; no beam.",
        ),
        ({}, None, "The run has no result: it is not in the catalog."),
        ({}, {}, "The run has no result: it has not ended."),
        (
            {"status": "writing"},
            DONE,
            "The run has no result: it ended well, see `ainerd check`.",
        ),
        (
            {},
            {"exit_status": "abort", "reason": "lunch"},
            "The run has no result: it ended with 'abort': lunch.",
        ),
        (
            {},
            {"exit_status": "fail", "reason": ""},
            "The run has no result: it ended with 'fail'.",
        ),
    ],
)
def test_what_came_of_it_is_told(result, stop, sentence):
    assert tell_story(story(result, stop))[3] == sentence


def test_what_a_person_measured_instead_is_told():
    told = story({"label": "aging", "confidence": 0.9}, other_sample="water")
    assert tell_story(told)[3:] == [
        "A person had water measured in its place.",
        "The run gave aging (0.90).",
    ]
    assert told.as_json()["other_sample"] == "water"


def test_the_json_has_the_whole_decision_and_the_outcome():
    told = story({"label": "aging", "confidence": 0.9}, DONE).as_json()
    assert Decision.from_json(told["decision"]) == story().decision
    assert (told["label"], told["exit_status"]) == ("aging", "success")
    assert (told["source"], told["is_published"]) == ("raw/u", False)
